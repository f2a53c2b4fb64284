import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import QParams, storage_dtype

reals = st.floats(-1e6, 1e6)
widths = st.integers(2, 16)


@settings(deadline=None)
@given(reals, reals, widths)
def test_affine(a, b, bits):
    low, high = min(a, b), max(a, b)
    x = QParams.asymmetric(low, high, bits)
    assert x.bits == bits and x.qmax - x.qmin == 2**bits - 1
    assert x.qmin <= 0 <= x.qmax
    # Both ends within one step: half for the offset, some for float32's scale.
    assert x.qmin * x.scale <= min(low, 0) + x.scale
    assert x.qmax * x.scale >= max(high, 0) - x.scale


@settings(deadline=None)
@given(st.floats(0, 1e6), widths)
def test_symmetric(amax, bits):
    x = QParams.symmetric(amax, bits)
    assert x.qmin == -x.qmax and x.bound == x.qmax == 2 ** (bits - 1) - 1
    assert x.scale * x.qmax == pytest.approx(max(amax, 1e-12), rel=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=1), st.floats(1e-3, 40), widths)
def test_quantize(values, amax, bits):
    x = QParams.symmetric(amax, bits)
    q = x.quantize(torch.tensor(values, dtype=torch.float64))
    for value, integer in zip(values, q.tolist(), strict=True):
        # torch, like Python, rounds halves to even
        assert integer == min(max(round(value / x.scale), x.qmin), x.qmax)


@settings(deadline=None)
@given(st.integers(-32767, 32767), st.floats(1e-9, 1e3))
def test_integers_come_back(q, scale):
    x = QParams(torch.tensor(scale).item(), -32767, 32767)
    assert x.quantize(x.dequantize(torch.tensor([q]))).item() == q


@settings(deadline=None)
@given(reals, reals, widths)
def test_dictionary_is_plain_and_exact(low, high, bits):
    x = QParams.asymmetric(low, high, bits)
    assert QParams.from_dict(json.loads(json.dumps(x.to_dict()))) == x


def test_zero_is_zero():
    x = QParams.asymmetric(0.3, 7.0, 8)
    assert x.quantize(torch.zeros(1)).item() == 0
    assert x.dequantize(torch.zeros(1, dtype=torch.int8)).item() == 0.0


@pytest.mark.parametrize(
    ('low', 'high', 'dtype'),
    [
        (-128, 127, torch.int8),
        (0, 255, torch.int16),
        (-32768, 32767, torch.int16),
        (0, 65535, torch.int32),
        (-(2**31), 2**31 - 1, torch.int32),
        (0, 2**31, torch.int64),
    ],
)
def test_storage(low, high, dtype):
    assert storage_dtype(low, high) == dtype
    assert QParams(1.0, low, high).quantize(torch.zeros(1)).dtype == dtype


def test_no_storage():
    with pytest.raises(OverflowError):
        storage_dtype(0, 2**63)


@pytest.mark.parametrize('scale', [0.0, -1.0, math.inf, math.nan])
def test_wrong_scale(scale):
    with pytest.raises(ValueError, match='scale'):
        QParams(scale, -1, 1)


@pytest.mark.parametrize('limits', [(1, 5), (-5, -1), (0, 0)])
def test_wrong_limits(limits):
    with pytest.raises(ValueError):
        QParams(1.0, *limits)
