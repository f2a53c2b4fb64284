"""Weights as panels, and the requantization of their channels in native form."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from .....native.commands import LANES

#: Bytes of depth that one step of the product takes.
_GROUP = 4
_INT64 = 2**63


@dataclass(frozen=True, eq=False)
class Panels:
    """Packed weights.

    Attributes:
        source: What was packed.
        data: uint8, the panels one after the other (see ``panels.h``).
        width: Vectors of 16 columns in a panel.
        bits: Of a weight, 8 or 4.
    """

    source: Tensor
    data: Tensor
    width: int
    bits: int


#: Those in use, by memory and layout of their source: programs for other numbers of
#: rows, or other sizes of images, share them.
_IN_USE: WeakValueDictionary[tuple, Panels] = WeakValueDictionary()


def panels_of(weight: Tensor) -> Panels:
    """:func:`pack`, or what it gave before as long as that is in use."""
    version = 0 if weight.is_inference() else weight._version
    key = weight.data_ptr(), tuple(weight.shape), weight.stride(), version
    panels = _IN_USE.get(key)
    if panels is None:
        panels = _IN_USE[key] = pack(weight)
    return panels


def pack(weight: Tensor) -> Panels:
    """Weights as the kernel wants them; those of 4 bits two a byte.

    Args:
        weight: int8, shape (n, taps, depth of a tap).
    """
    n, taps, depth = weight.shape
    vectors, groups = -(-n // LANES), taps * -(-depth // _GROUP)
    # Three vectors where they fill all panels and four do not.
    width = 3 if vectors % 3 == 0 and vectors % 4 else min(4, vectors)
    padded = weight.new_zeros(vectors * LANES, taps, groups // taps * _GROUP)
    padded[:n, :, :depth] = weight
    narrow = bool(weight.numel()) and -8 <= int(weight.min()) <= int(weight.max()) <= 7
    parts = []
    for panel in padded.split(width * LANES):
        quads = panel.reshape(-1, groups, _GROUP).transpose(0, 1)
        codes = quads.contiguous().view(torch.uint8)
        if narrow:
            codes = (codes[..., 0::2] & 15) | (codes[..., 1::2] << 4)
        parts.append(codes.flatten())
    return Panels(weight, torch.cat(parts), width, 4 if narrow else 8)


def by_taps(weight: Tensor) -> Tensor:
    """Weights of convolutions of each channel by itself, tap after tap.

    Args:
        weight: int8, shape (n, taps, 1).
    """
    n, taps, _ = weight.shape
    padded = weight.new_zeros(taps, -(-n // LANES) * LANES)
    padded[:, :n] = weight[..., 0].t()
    return padded


@dataclass(frozen=True)
class Channels:
    """``(acc * multiplier + offset) >> shift`` by channel, padded.

    Attributes:
        quick: Whether the arrays have the quick form of ``epilogue.inl``.
        multiplier: int64.
        offset: int64, what makes codes of the result included.
        up: int32, or None where no accumulator needs it.
        shift: int32.
        low: Smallest code.
        high: Largest code.
    """

    quick: bool
    multiplier: Tensor
    offset: Tensor
    up: Tensor | None
    shift: Tensor
    low: int
    high: int


def channels(
    multiplier: Tensor,
    offset: Tensor,
    shift: Tensor,
    bound: Tensor,
    clamp: tuple[int, int],
    zero_point: int,
) -> Channels:
    """The native form of a linear layer's requantization.

    Args:
        multiplier: int64, shape (n,), below ``2**31``.
        offset: int64, shape (n,), the rounding half included.
        shift: int64, shape (n,).
        bound: Largest magnitude of each channel's accumulator, int64, shape (n,).
        clamp: Smallest and largest result.
        zero_point: Of the result: a code is the result plus it.

    Raises:
        OverflowError: If an offset that includes the zero point leaves 64 bits.
    """
    columns = -(-len(multiplier) // LANES) * LANES
    factors = [_padded(t, columns).tolist() for t in (multiplier, offset, shift)]
    bounds = _padded(bound, columns).tolist()
    m, o, s = factors
    s = [max(1, shift) for shift in s]
    o = [a + (zero_point << b) for a, b in zip(o, s, strict=True)]
    largest = (abs(a) + abs(b) * c for a, b, c in zip(o, m, bounds, strict=True))
    if max(largest) >= _INT64:
        raise OverflowError('an offset and the zero point of the output leave 64 bits')
    low, high = clamp[0] + zero_point, clamp[1] + zero_point
    up = [max(0, 32 - shift) for shift in s]
    quick = all(
        bound << u < 2**31 and abs(a) << u < 2**62
        for bound, u, a in zip(bounds, up, o, strict=True)
    )
    if not quick:
        factor, addend = (torch.tensor(t, dtype=torch.int64) for t in (m, o))
        exact = torch.tensor(s, dtype=torch.int32)
        return Channels(False, factor, addend, None, exact, low, high)
    o = [a << u for a, u in zip(o, up, strict=True)]
    rest = [shift + u - 32 for shift, u in zip(s, up, strict=True)]
    return Channels(
        True,
        _split(torch.tensor(m, dtype=torch.int64)),
        _split(torch.tensor(o, dtype=torch.int64)),
        torch.tensor(up, dtype=torch.int32) if any(up) else None,
        torch.tensor(rest, dtype=torch.int32),
        low,
        high,
    )


def _padded(values: Tensor, columns: int) -> Tensor:
    return torch.nn.functional.pad(values.long().cpu(), (0, columns - len(values)))


def _split(values: Tensor) -> Tensor:
    """Even columns of each block of 16 first, then the odd ones."""
    blocks = values.view(-1, LANES // 2, 2)
    return blocks.transpose(1, 2).contiguous().flatten()
