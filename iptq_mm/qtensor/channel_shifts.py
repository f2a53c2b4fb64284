"""Left shifts by channel, which undo a division of channels by powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..intmath import Dyadic, QParams, requantize, storage_dtype
from .tensor import QTensor

#: Most bits of an operand after its channels were shifted: LayerNorm takes so many.
MOST_BITS = 16


def shift_channels(x: QTensor, shifts: Sequence[int]) -> QTensor:
    """Each channel (last dimension) times ``2**shift``: a left shift of its integers.

    This undoes the Power-of-Two Factor of FQ-ViT (Lin et al., arXiv 2111.13824, section
    3.2). Equalization divided the channels with a wide range by ``2**shift``, so that
    one scale serves all of them; the operation that needs the original values gets
    ``q << shift``.

    Args:
        x: Shape (..., C).
        shifts: C integers, 0 or more.

    Returns:
        A tensor with the same scale. The range of its quantizer, if it has one, is that
        of ``x`` shifted by the largest shift.
    """
    by, qparams, payload = torch.tensor(shifts), x.qparams, x.payload
    if isinstance(qparams, QParams):
        most = int(by.max())
        qparams = QParams(qparams.scale, qparams.qmin << most, qparams.qmax << most)
    if x.is_integer:
        assert isinstance(qparams, QParams)
        dtype = storage_dtype(qparams.qmin, qparams.qmax)
        payload = payload.to(dtype) << by.to(payload.device, dtype)
    else:
        payload = payload * (2.0**by).to(payload.device, payload.dtype)
    other = x.like(payload)
    other.qparams = qparams
    return other


def fewer_bits(qparams: Any) -> QParams | None:
    """The quantizer of a shifted value, without the bits beyond ``MOST_BITS``.

    Example: 16 bits and a shift of 4 are 20 bits. Without the 4 lowest ones, the scale
    is 16 times as large. If the channel with the widest range has the largest shift,
    this is the scale that would serve all channels as they were.

    Returns:
        None: there is no quantizer, or it has no more bits than that.
    """
    if not isinstance(qparams, QParams):
        return None
    many = shifted_away(qparams)
    if many <= 0:
        return None
    step = 1 << many
    low, high = -(-qparams.qmin // step), qparams.qmax // step
    return QParams(qparams.scale * step, low, high)


def shifted_away(qparams: QParams) -> int:
    """How many bits a quantizer has beyond those that sites take, or less than 0."""
    return qparams.bound.bit_length() + 1 - MOST_BITS


def dropped_bits(x: QTensor, qparams: QParams, rounded: bool = False) -> QTensor:
    """A shifted value without its lowest bits: requantized by a right shift.

    Args:
        x: The value; integers are rounded, halves up, and saturated.
        qparams: Its new quantizer, from :func:`fewer_bits`.
        rounded: Whether floats are, too; else they stay.
    """
    assert isinstance(x.qparams, QParams)
    payload = x.payload
    if x.is_integer:
        factor = Dyadic(1, shifted_away(x.qparams))
        payload = qparams.saturate(requantize(payload, factor))
    elif rounded:
        q = (payload.double() / qparams.scale + 0.5).floor_()
        payload = qparams.dequantize(q.clamp_(qparams.qmin, qparams.qmax))
    other = x.like(payload)
    other.qparams = qparams
    return other
