"""What holds for every rounding in the registry."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding_cases import layer, output_error

from iptq_mm import rounding
from iptq_mm.moments import Moments
from iptq_mm.patches import patches
from iptq_mm.registry import ROUNDINGS

NAMES = sorted(ROUNDINGS.module_dict)
# Fewer steps than by default, for speed.
OPTIONS = {'learned': dict(steps=20)}


def build(name, **options):
    return ROUNDINGS.build(dict(type=name, **OPTIONS.get(name, {}), **options))


def test_all_are_here():
    assert {'nearest', 'second_order', 'learned'} <= set(NAMES)
    assert rounding.SecondOrderRounding is ROUNDINGS.get('second_order')


@pytest.mark.parametrize('name', NAMES)
@settings(deadline=None, max_examples=15)
@given(st.integers(2, 8), st.integers(0, 1000), st.booleans(), st.sampled_from([1, 9]))
def test_codes_and_scales(name, bits, seed, centred, features):
    case = layer(seed, features=features, bits=bits)
    codes, scale = build(name)(case.weight, case.scale, bits, case.inputs, centred)
    assert codes.shape == case.weight.shape and codes.dtype == torch.int8
    assert codes.abs().max() <= 2 ** (bits - 1) - 1
    assert scale.shape == case.scale.shape and scale.dtype == torch.float64
    assert (scale > 0).all() and torch.equal(scale, scale.float().double())


@pytest.mark.parametrize('name', NAMES)
@settings(deadline=None, max_examples=20)
@given(st.integers(2, 8), st.integers(0, 1000), st.booleans())
def test_no_row_is_worse_than_nearest(name, bits, seed, centred):
    case = layer(seed, bits=bits, dead=(0, 5) if seed % 2 else ())
    arguments = case.weight, case.scale, bits, case.inputs, centred
    error = output_error(case, build(name)(*arguments), centred)
    nearest = output_error(case, build('nearest')(*arguments), centred)
    assert (error <= nearest * (1 + 1e-9) + 1e-12).all()


@pytest.mark.parametrize('name', NAMES)
def test_same_moments_same_result(name):
    case = layer(features=70, rows=9)
    before = case.inputs.second.clone(), case.weight.clone()
    a, b = (build(name)(case.weight, case.scale, 4, case.inputs) for _ in range(2))
    assert torch.equal(a.codes, b.codes) and torch.equal(a.scale, b.scale)
    assert torch.equal(case.inputs.second, before[0])
    assert torch.equal(case.weight, before[1])


@pytest.mark.parametrize('name', NAMES)
def test_weights_of_convolutions(name):
    x = torch.randint(-9, 9, (2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    weight = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    inputs = Moments(12, 0.1)
    inputs.update(patches(x, weight.shape, stride=2))
    scale = weight.flatten(1).abs().amax(1) / 7
    result = build(name)(weight, scale, 4, inputs)
    flat = build(name)(weight.flatten(1), scale, 4, inputs)
    assert torch.equal(result.codes, flat.codes.view(weight.shape))
    assert torch.equal(result.scale, flat.scale)


@pytest.mark.parametrize('name', NAMES)
def test_gradients_and_other_types(name):
    case = layer()
    half = case.weight.half()
    a = build(name)(half.requires_grad_(), case.scale, 4, case.inputs)
    b = build(name)(half.detach().double(), case.scale.double(), 4, case.inputs)
    assert not a.codes.requires_grad and torch.equal(a.codes, b.codes)
    with torch.inference_mode():
        c = build(name)(half, case.scale, 4, case.inputs)
    assert torch.equal(a.codes, c.codes)


@pytest.mark.parametrize('name', NAMES)
def test_rows_of_zeros_and_inputs_that_are_never_there(name):
    case = layer(dead=range(12))
    case.weight[1] = 0
    nearest = build('nearest')(case.weight, case.scale, 4)
    result = build(name)(case.weight, case.scale, 4, case.inputs)
    assert torch.equal(result.codes, nearest.codes)
    case = layer()
    case.weight[1] = 0
    result = build(name)(case.weight, case.scale, 4, case.inputs)
    assert not result.codes[1].any() and result.scale[1] == case.scale[1]


def test_only_the_nearest_integer_looks_at_no_inputs():
    found = {name: build(name).needs_inputs for name in NAMES}
    assert found.items() >= dict(nearest=False, second_order=True, learned=True).items()


@pytest.mark.parametrize('name', NAMES)
def test_moments_are_asked_for_where_they_are_needed(name):
    case, method = layer(), build(name)
    if not method.needs_inputs:
        a, b = (method(case.weight, case.scale, 4, i) for i in (None, case.inputs))
        assert torch.equal(a.codes, b.codes)
        return
    with pytest.raises(ValueError, match='needs the moments of the inputs'):
        method(case.weight, case.scale, 4)
    with pytest.raises(ValueError, match='has 12 inputs, the moments are of 3'):
        method(case.weight, case.scale, 4, Moments(3, 1.0))
    with pytest.raises(ValueError, match='no input was seen'):
        method(case.weight, case.scale, 4, Moments(12, 1.0))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
    ('weight', 'scale', 'bits', 'match'),
    [
        (torch.ones(2, 3), torch.ones(2), 1, 'weights take 2 to (8|16) bits, not 1'),
        (torch.ones(2, 3), torch.ones(2), 17, 'weights take 2 to (8|16) bits, not 17'),
        (torch.ones(2, 3), torch.ones(3), 8, '2 scales'),
        (torch.ones(2, 3), torch.ones(2, 1), 8, '2 scales'),
        (torch.ones(2, 3), torch.tensor([1.0, 0.0]), 8, 'positive'),
        (torch.ones(2, 3), torch.tensor([1.0, torch.inf]), 8, 'positive'),
        (torch.tensor([[torch.nan]]), torch.ones(1), 8, 'checkpoint'),
    ],
)
def test_errors(name, weight, scale, bits, match):
    with pytest.raises(ValueError, match=match):
        build(name)(weight, scale, bits, Moments(3, 1.0))
