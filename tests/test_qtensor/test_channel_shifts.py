"""Left shifts by channel, and the bits that are too many then."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import QParams
from iptq_mm.qtensor import QTensor
from iptq_mm.qtensor.channel_shifts import dropped_bits, fewer_bits, shift_channels

LIMITS = st.sampled_from([(-127, 127), (-128, 127), (-4095, 4095), (-32767, 32767)])
POWERS = st.lists(st.integers(0, 8), min_size=4, max_size=4)


def integers(low, high, seed):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randint(low, high + 1, (2, 3, 4), generator=generator)
    q[0, 0], q[0, 1] = low, high
    return q


@settings(max_examples=50, deadline=None)
@given(
    LIMITS,
    POWERS,
    st.integers(0, 1000),
)
def test_shifted_integers_are_exact(limits, powers, seed):
    """At the ends of int8 and int16, too, beyond which the shift goes."""
    low, high = limits
    q = integers(low, high, seed)
    qparams = QParams(0.37, low, high)
    narrow = torch.int8 if high < 128 else torch.int16
    x = shift_channels(QTensor(q.to(narrow), qparams, 'a'), powers)
    factors = torch.tensor([2**p for p in powers])
    assert torch.equal(x.payload.long(), q * factors)
    most = 2 ** max(powers)
    assert x.qparams == QParams(0.37, low * most, high * most)
    assert x.qparams.qmin <= int(x.payload.min())
    assert int(x.payload.max()) <= x.qparams.qmax
    assert x.source == 'a'
    # Floats, with and without a quantizer.
    real = shift_channels(QTensor(qparams.dequantize(q), qparams), powers)
    assert torch.equal(real.payload, qparams.dequantize(q) * factors)
    assert real.qparams == x.qparams
    assert shift_channels(QTensor(q.float()), powers).qparams is None


@settings(max_examples=50, deadline=None)
@given(LIMITS, POWERS, st.integers(0, 1000))
def test_bits_that_are_too_many_are_rounded_away(limits, powers, seed):
    low, high = limits
    q = integers(low, high, seed)
    x = shift_channels(QTensor(q.int(), QParams(0.37, low, high), 'a'), powers)
    fewer = fewer_bits(x.qparams)
    bits = high.bit_length() + 1 + max(powers)
    if low == -128:  # which takes a bit more in magnitude
        bits += 1
    assert (fewer is None) == (bits <= 16)
    if fewer is None:
        return
    step = 2 ** (bits - 16)
    assert fewer.scale == 0.37 * step and fewer.qmin >= -(2**15)
    assert fewer.qmax < 2**15
    kept = dropped_bits(x, fewer)
    assert kept.qparams == fewer and kept.source == 'a'
    exact = x.payload.double() / step
    assert (kept.payload - exact).abs().max() <= 1  # at the ends, where it saturates
    inside = (exact > fewer.qmin) & (exact < fewer.qmax)
    assert ((kept.payload - exact).abs()[inside] <= 0.5).all()
    # Floats keep their values.
    real = dropped_bits(QTensor(x.real_values(), x.qparams), fewer)
    assert torch.equal(real.payload, x.real_values()) and real.qparams == fewer


def test_without_a_quantizer_no_bit_is_too_many():
    assert fewer_bits(None) is None
