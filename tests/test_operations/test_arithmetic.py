"""MatMul, Add, Mul, Concat and Mean on integers against floats."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from operation_cases import (
    check,
    half_unit,
    integers,
    kinds,
    out_for,
    quantizer,
    real,
    run,
    scales,
    seeds,
)

from iptq_mm.intmath import QParams
from iptq_mm.intmath.product import reference_products
from iptq_mm.operations import OPERATIONS
from iptq_mm.operations.base import check_int64, common_dyadic

slacks = st.sampled_from([0.01, 1.0, 1.0, 100.0])


@settings(deadline=None, max_examples=100)
@given(seeds, kinds, kinds, scales, scales, slacks, st.integers(1, 40))
def test_matmul(seed, kind_a, kind_b, scale_a, scale_b, slack, terms):
    a_params, b_params = quantizer(kind_a, scale_a), quantizer(kind_b, scale_b)
    a = integers(a_params, 2, 3, terms, seed=seed)
    b = integers(b_params, 2, terms, 4, seed=seed + 1)
    expected = real(a, a_params) @ real(b, b_params)
    out = out_for(expected, slack)
    result, constants = run('matmul', [a, b], [a_params, b_params], out)
    largest = float((a.double() @ b.double()).abs().max())
    check(result, expected, out, half_unit(largest, constants['shift']))
    with reference_products():
        again, _ = run('matmul', [a, b], [a_params, b_params], out)
    assert torch.equal(again, result)


def test_matmul_of_16_bit_probabilities_and_10000_tokens():
    """All at their largest: 10000 * 65535 * 127 needs 38 bits."""
    a_params = quantizer('probabilities', 1 / 65535)
    b_params = quantizer('int8', 0.01)
    a = torch.full((1, 10000), 65535, dtype=torch.int32)
    b = torch.full((10000, 2), 127, dtype=torch.int8)
    b[:, 1] = -127
    out = QParams(1.0, -32767, 32767)
    result, constants = run('matmul', [a, b], [a_params, b_params], out)
    assert result.tolist() == [[12700, -12700]]
    assert constants['bound'] == 10000 * 65535 * 127


@settings(deadline=None, max_examples=150)
@given(seeds, kinds, kinds, scales, scales, slacks)
def test_add(seed, kind_a, kind_b, scale_a, scale_b, slack):
    a_params, b_params = quantizer(kind_a, scale_a), quantizer(kind_b, scale_b)
    a, b = integers(a_params, 3, 1, 4, seed=seed), integers(b_params, 5, 4, seed=seed)
    expected = real(a, a_params) + real(b, b_params)
    out = out_for(expected, slack)
    result, constants = run('add', [a, b], [a_params, b_params], out)
    largest = float(a.long().abs().max() + b.long().abs().max())
    off = half_unit(largest, constants['shift'])
    assert off < 1 / 32  # see common_dyadic
    check(result, expected, out, off)


@pytest.mark.parametrize('coarse', ['4 bits', '6 bits'])
@pytest.mark.parametrize('fine', ['int16', 'probabilities'])
def test_add_of_all_codes_of_few_and_of_many_bits(coarse, fine):
    """The coarser operand reaches everywhere, so one of its steps is many."""
    a_params, b_params = quantizer(coarse, 1.37), quantizer(fine, 1.37e-5)
    a = torch.arange(a_params.qmin, a_params.qmax + 1)[:, None]
    b = torch.arange(b_params.qmin, b_params.qmax + 1)[None]
    expected = real(a, a_params) + real(b, b_params)
    for params, payloads in (
        ([a_params, b_params], [a, b]),
        ([b_params, a_params], [b, a]),
    ):
        result, _ = run('add', payloads, params, out_for(expected))
        check(result, expected, out_for(expected), 1 / 32)


@pytest.mark.parametrize('exponent', [0, 4, 8, 16, 24, 32, 40, 60])
@pytest.mark.parametrize('swap', [False, True])
def test_add_of_very_different_scales(exponent, swap):
    fine = QParams(2.0**-exponent, -32767, 32767)
    coarse = QParams(1.0, -32767, 32767)
    a, b = torch.tensor([32767, -32767, 5]), torch.tensor([32767, 1, 0])
    payloads, qparams = [a, b], [fine, coarse]
    if swap:
        payloads, qparams = payloads[::-1], qparams[::-1]
    expected = a.double() * fine.scale + b.double() * coarse.scale
    for out in (QParams(2.0, -32767, 32767), QParams(1e-3, -127, 127)):
        result, _ = run('add', payloads, qparams, out)
        error = (result - expected / out.scale).abs()
        assert (error <= 0.501 + 1e-9 * (expected / out.scale).abs()).all()


def test_add_of_a_mask_that_spans_31_bits():
    wide = QParams(1e-3, -(2**30), 2**15)
    a = torch.tensor([-(2**30), 2**15, -(2**30)], dtype=torch.int32)
    b = torch.tensor([32767, -32767, -32767], dtype=torch.int16)
    out = QParams(1e-3, -32767, 32767)
    result, _ = run('add', [a, b], [wide, QParams(2e-3, -32767, 32767)], out)
    expected = [-(2**30) + 65534, 2**15 - 65534, -(2**30) - 65534]
    assert (result - torch.tensor(expected)).abs().max() <= 1


@settings(deadline=None, max_examples=80)
@given(seeds, kinds, kinds, scales, scales, slacks)
def test_mul(seed, kind_a, kind_b, scale_a, scale_b, slack):
    a_params, b_params = quantizer(kind_a, scale_a), quantizer(kind_b, scale_b)
    a, b = integers(a_params, 3, 1, 4, seed=seed), integers(b_params, 5, 4, seed=seed)
    expected = real(a, a_params) * real(b, b_params)
    out = out_for(expected, slack)
    result, constants = run('mul', [a, b], [a_params, b_params], out)
    largest = float((a.double() * b.double()).abs().max())
    check(result, expected, out, half_unit(largest, constants['shift']))


def test_mul_by_a_24_bit_parameter():
    gamma = QParams(1e-6, -(2**23 - 1), 2**23 - 1)
    a, b = torch.tensor([32767, -32767]), torch.tensor([2**23 - 1, 2**23 - 1])
    result, _ = run('mul', [a, b], [quantizer('int16', 1e-3), gamma], QParams(1, -9, 9))
    assert result.tolist() == [275, -275]


@settings(deadline=None, max_examples=80)
@given(seeds, st.lists(kinds, min_size=1, max_size=4), scales, scales, slacks)
def test_cat(seed, kinds_, scale, other, slack):
    qparams = [quantizer(k, scale if i % 2 else other) for i, k in enumerate(kinds_)]
    payloads = [integers(q, 2, i + 1, seed=seed + i) for i, q in enumerate(qparams)]
    expected = torch.cat(
        [real(p, q) for p, q in zip(payloads, qparams, strict=True)], 1
    )
    out = out_for(expected, slack)
    result, _ = run('cat', payloads, qparams, out, dict(dim=1))
    check(result, expected, out, 1e-3)


@settings(deadline=None, max_examples=80)
@given(seeds, kinds, scales, slacks, st.booleans())
def test_mean(seed, kind, scale, slack, keepdim):
    q = quantizer(kind, scale)
    x = integers(q, 3, 5, 4, seed=seed)
    attributes = dict(dim=(-1, 0), keepdim=keepdim)
    expected = real(x, q).mean((-1, 0), keepdim)
    out = out_for(expected, slack)
    result, constants = run('mean', [x], [q], out, attributes)
    check(result, expected, out, half_unit(12.0 * q.bound, constants['shift']))


def test_mean_of_many_wide_values():
    """The global mean of a large feature map of 16 bits leaves 32 bits."""
    q = quantizer('int16', 0.01)
    x = torch.full((1, 200 * 400), 32767, dtype=torch.int16)
    result, _ = run('mean', [x], [q], QParams(0.02, -32767, 32767), dict(dim=(1,)))
    assert result.tolist() in ([16383], [16384])  # it is a half


def test_too_small_an_output_scale_is_an_error():
    q = quantizer('int16', 1.0)
    x = torch.ones(2, 2, dtype=torch.int16)
    out = QParams(1e-20, -127, 127)
    for kind, operands in {
        'add': 2,
        'mul': 2,
        'matmul': 2,
        'cat': 2,
        'mean': 1,
    }.items():
        attributes = dict(dim=(0,)) if kind in ('mean',) else {}
        attributes = dict(dim=0) if kind == 'cat' else attributes
        with pytest.raises(OverflowError, match='scale is far too small'):
            run(kind, [x] * operands, [q] * operands, out, attributes)


magnitudes = st.sampled_from([1, 7, 127, 32767, 65535]) | st.integers(1, 2**30)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(2.0**-60, 2.0**20), min_size=2, max_size=2),
    st.lists(magnitudes, min_size=2, max_size=2),
)
def test_common_dyadic(ratios, bounds):
    multipliers, shift = common_dyadic(ratios, bounds)
    largest = sum(m * bound for m, bound in zip(multipliers, bounds, strict=True))
    assert 1 <= shift <= 62
    assert largest + (1 << (shift - 1)) < 2**63
    exact = [Fraction(ratio) for ratio in ratios]
    off = sum(
        abs(Fraction(m, 2**shift) - ratio) * bound
        for m, ratio, bound in zip(multipliers, exact, bounds, strict=True)
    )
    assert off <= Fraction(sum(bounds), 2 ** (shift + 1))
    total = sum(r * bound for r, bound in zip(exact, bounds, strict=True))
    if max(bounds) < 2**17 and total < 2**40:
        assert off < Fraction(1, 32)
    # Longer multipliers than kernels take only where a shift less might be too few.
    assert max(multipliers) < 2**31 or 32 * sum(bounds) >= 2**shift


def test_common_dyadic_of_what_no_shift_makes_exact():
    """64 bits do not hold a finer sum: the multipliers stay those of kernels."""
    multipliers, shift = common_dyadic([1.1, 2.0**20], [2**30, 2**30])
    assert shift == 9 and max(multipliers) == 2**29
    with pytest.raises(OverflowError, match='scale is far too small'):
        common_dyadic([1.0, 2.0**31], [7, 7])


def test_check_int64():
    assert check_int64(100, 'x') == 32
    assert check_int64(2**31, 'x') == 33
    assert check_int64(2**46 - 1, 'x') == 47
    with pytest.raises(OverflowError, match='the sum may reach'):
        check_int64(2**46, 'the sum')


def test_every_operation_has_its_kind():
    assert all(kind == operation.kind for kind, operation in OPERATIONS.items())
    linear = OPERATIONS['linear']
    assert [linear.role(i) for i in range(4)] == [
        'activation',
        'weight',
        'bias',
        'bias',
    ]
