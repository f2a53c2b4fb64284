"""Linear and Conv2d on integers against floats."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_cases import (
    check,
    integers,
    kinds,
    out_for,
    quantizer,
    real,
    run,
    scales,
    seeds,
)
from torch.nn import functional as F

from iptq_mm.intmath import QParams
from iptq_mm.intmath.product import reference_products
from iptq_mm.qtensor import WeightQParams

BIAS = 2**23 - 1


def parameters(*shape, seed, spread=6):
    """int8 weights with scales far apart, a channel without weights, and a bias."""
    generator = torch.Generator().manual_seed(seed)
    weight = integers(QParams(1.0, -127, 127), *shape, seed=seed)
    exponents = torch.randint(-spread, spread + 1, shape[:1], generator=generator)
    qparams = WeightQParams(torch.pow(2.0, exponents.double()) * 1.1, 127)
    if seed % 2:
        weight[0] = 0
        qparams.scale[0] = 1e-12 / 127
    bias = integers(QParams(1.0, -BIAS, BIAS), shape[0], seed=seed + 1)
    return weight, qparams, bias


def off(constants, accumulator):
    """How far the multipliers of each channel may be off, in output steps."""
    units = torch.pow(2.0, -constants['shift'].double() - 1)
    return units * (accumulator.abs() + 1)


@settings(deadline=None, max_examples=150)
@given(
    seeds,
    kinds,
    scales,
    st.sampled_from([0.01, 1.0, 100.0]),
    st.sampled_from([None, 1e-9, 1.0, 1e6]),
)
def test_linear(seed, kind, scale, slack, bias_scale):
    x_params = quantizer(kind, scale)
    x = integers(x_params, 3, 4, 11, seed=seed)
    weight, w_params, bias = parameters(5, 11, seed=seed)
    b_params = None if bias_scale is None else QParams(scale * bias_scale, -BIAS, BIAS)
    payloads = [x, weight, None if bias_scale is None else bias]
    real_bias = None if bias_scale is None else real(bias, b_params)
    expected = F.linear(real(x, x_params), real(weight, w_params), real_bias)
    out = out_for(expected, slack)
    qparams = [x_params, w_params, b_params]
    result, constants = run('linear', payloads, qparams, out)
    accumulator = F.linear(x.double(), weight.double())
    check(result, expected, out, off(constants, accumulator))
    with reference_products():
        again, _ = run('linear', payloads, qparams, out)
    assert torch.equal(again, result)


@pytest.mark.parametrize('sign', [-1, 1])
@pytest.mark.parametrize('steps', [2.0**20, 2.0**30, 2.0**40, 2.0**90])
def test_huge_biases_saturate_on_their_side(sign, steps):
    """And do no harm to the channel beside them."""
    x_params, w_params = quantizer('int8', 0.1), WeightQParams(torch.ones(2), 127)
    b_params, out = QParams(steps / BIAS, -BIAS, BIAS), QParams(1.0, -32767, 32767)
    x, weight = integers(x_params, 9, 4), integers(quantizer('int8', 1.0), 2, 4)
    bias = torch.tensor([sign * BIAS, 0])
    result, _ = run('linear', [x, weight, bias], [x_params, w_params, b_params], out)
    assert (result[:, 0] * sign >= 2**20 - 2**15).all()
    expected = F.linear(real(x, x_params), weight.double())[:, 1]
    assert (result[:, 1] - expected).abs().max() <= 0.6


@settings(deadline=None, max_examples=60)
@given(
    seeds,
    kinds,
    st.sampled_from([1, 2]),
    st.integers(0, 2),
    st.integers(1, 2),
    st.sampled_from([1, 2, 4]),
)
def test_conv2d(seed, kind, stride, padding, dilation, groups):
    x_params = quantizer(kind, 0.01)
    x = integers(x_params, 2, 4, 7, 6, seed=seed)
    weight, w_params, bias = parameters(8, 4 // groups, 3, 2, seed=seed)
    b_params = QParams(1e-5, -BIAS, BIAS)
    attributes = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    expected = F.conv2d(
        real(x, x_params), real(weight, w_params), real(bias, b_params), **attributes
    )
    out = out_for(expected)
    payloads, qparams = [x, weight, bias], [x_params, w_params, b_params]
    result, constants = run('conv2d', payloads, qparams, out, attributes)
    accumulator = F.conv2d(x.double(), weight.double(), **attributes)
    units = torch.pow(2.0, -constants['shift'].double() - 1).view(-1, 1, 1)
    check(result, expected, out, units * (accumulator.abs() + 1))
    with reference_products():
        again, _ = run('conv2d', payloads, qparams, out, attributes)
    assert torch.equal(again, result)


def test_limits():
    """Every product at its largest, and the sum of them close to 2**31."""
    size = 2**31 // (255 * 127) - 1
    x_params, w_params = quantizer('negative', 1.0), WeightQParams(torch.ones(1), 127)
    x = torch.full((1, size), -255, dtype=torch.int16)
    weight = torch.full((1, size), 127, dtype=torch.int8)
    out = QParams(2.0**16, -32767, 32767)
    result, _ = run('linear', [x, weight, None], [x_params, w_params, None], out)
    assert int(result) == round(-255 * 127 * size / 2**16)


def test_an_accumulator_beyond_32_bits():
    """An error for bytes, whose kernels have 32 bits; wider operands have 64."""
    size = 2**31 // (127 * 127) + 2
    w_params, out = WeightQParams(torch.ones(2), 127), QParams(1.0, -127, 127)
    weight = torch.full((2, size), 127, dtype=torch.int8)
    x = torch.full((1, size), 127, dtype=torch.int8)
    inputs = [QParams(1.0, -127, 127), w_params, None]
    with pytest.raises(OverflowError, match='the accumulator may reach'):
        run('linear', [x, weight, None], inputs, out)
    x, inputs[0] = x.to(torch.int16), QParams(1.0, -32767, 32767)
    wide = QParams(127.0 * 127 * size, -127, 127)
    result, _ = run('linear', [x, weight, None], inputs, wide)
    assert result.tolist() == [[1, 1]]
    # Not the size of the layer counts, but its weights.
    weight[:, 3:] = 0
    run('linear', [x, weight, None], inputs, out)


def test_only_8_bit_codes_that_do_not_fit_are_moved():
    weight = torch.ones(2, 4, dtype=torch.int8)
    w_params, out = WeightQParams(torch.ones(2), 127), QParams(1.0, -127, 127)
    middles = {'int8': 0, 'int8 full': 0, '4 bits': 0, 'affine': 98, 'positive': 128}
    middles |= {'negative': -127, '6 bits': 0, 'int16': 0, 'probabilities': 0}
    for kind, middle in middles.items():
        x_params = quantizer(kind, 1.0)
        x = integers(x_params, 3, 4)
        _, constants = run('linear', [x, weight, None], [x_params, w_params, None], out)
        assert constants['middle'] == middle, kind
