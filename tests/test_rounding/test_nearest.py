import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from iptq_mm.calibration.observers import MinMaxObserver
from iptq_mm.intmath import QParams
from iptq_mm.registry import ROUNDINGS


def nearest():
    return ROUNDINGS.build(dict(type='nearest'))


def test_registry():
    nearest()  # fills the registry
    assert 'nearest' in ROUNDINGS.module_dict


def test_by_hand():
    weight = torch.tensor([[0.5, 1.5, -2.5, 9.0], [0.1, -0.26, 0.0, -9.0]])
    q = nearest()(weight, torch.tensor([1.0, 0.1]), 3)
    assert q.dtype == torch.int8
    assert q.tolist() == [[0, 2, -2, 3], [1, -3, 0, -3]]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 8),
    st.integers(0, 1000),
    st.sampled_from([(5,), (3, 4), (2, 3, 2, 2)]),
)
def test_error_is_at_most_half_a_step(bits, seed, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    scale = MinMaxObserver().scales(weight, bits)
    q = nearest()(weight, scale, bits)
    assert q.shape == weight.shape and q.dtype == torch.int8
    assert q.abs().max() <= 2 ** (bits - 1) - 1
    rows = scale.double().reshape(-1, *[1] * (len(shape) - 1))
    assert ((q * rows - weight).abs() <= rows * 0.500001).all()
    # One channel is what the quantizer of a tensor would do.
    bound = 2 ** (bits - 1) - 1
    first = QParams(scale[0].item(), -bound, bound)
    assert torch.equal(q[0], first.quantize(weight[0]))


def test_inputs_are_not_needed_but_taken():
    weight, scale = torch.randn(2, 3), torch.ones(2)
    a, b = nearest()(weight, scale, 8), nearest()(weight, scale, 8, inputs=object())
    assert torch.equal(a, b)


def test_gradients_and_other_types():
    weight = torch.randn(2, 3, requires_grad=True)
    q = nearest()(weight, torch.ones(2, dtype=torch.float64), 8)
    assert not q.requires_grad
    half = weight.detach().half()
    assert torch.equal(
        nearest()(half, torch.ones(2), 8), nearest()(half.float(), torch.ones(2), 8)
    )


@pytest.mark.parametrize(
    ('weight', 'scale', 'bits', 'match'),
    [
        (torch.ones(2, 3), torch.ones(2), 1, '2 to 8 bits'),
        (torch.ones(2, 3), torch.ones(2), 9, '2 to 8 bits'),
        (torch.ones(2, 3), torch.ones(3), 8, '2 scales'),
        (torch.ones(2, 3), torch.ones(2, 1), 8, '2 scales'),
        (torch.ones(2, 3), torch.tensor([1.0, 0.0]), 8, 'positive'),
        (torch.ones(2, 3), torch.tensor([1.0, torch.inf]), 8, 'positive'),
        (torch.tensor([[torch.nan]]), torch.ones(1), 8, 'checkpoint'),
    ],
)
def test_errors(weight, scale, bits, match):
    with pytest.raises(ValueError, match=match):
        nearest()(weight, scale, bits)
