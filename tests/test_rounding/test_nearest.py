import hypothesis.strategies as st
import torch
from hypothesis import given, settings

from iptq_mm.calibration.observers import MinMaxObserver
from iptq_mm.intmath import QParams
from iptq_mm.registry import ROUNDINGS


def nearest():
    return ROUNDINGS.build(dict(type='nearest'))


def test_by_hand():
    weight = torch.tensor([[0.5, 1.5, -2.5, 9.0], [0.1, -0.26, 0.0, -9.0]])
    codes, scale = nearest()(weight, torch.tensor([1.0, 0.125]), 3)
    assert codes.dtype == torch.int8
    assert codes.tolist() == [[0, 2, -2, 3], [1, -2, 0, -3]]
    assert scale.tolist() == [1.0, 0.125]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 8),
    st.integers(0, 1000),
    st.sampled_from([(5,), (3, 4), (2, 3, 2, 2)]),
)
def test_error_is_at_most_half_a_step(bits, seed, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    scale = MinMaxObserver().scales(weight, bits)
    q = nearest()(weight, scale, bits).codes
    assert q.shape == weight.shape and q.dtype == torch.int8
    assert q.abs().max() <= 2 ** (bits - 1) - 1
    rows = scale.double().reshape(-1, *[1] * (len(shape) - 1))
    assert ((q * rows - weight).abs() <= rows * 0.500001).all()
    # One channel is what the quantizer of a tensor would do.
    bound = 2 ** (bits - 1) - 1
    first = QParams(scale[0].item(), -bound, bound)
    assert torch.equal(q[0], first.quantize(weight[0]))
