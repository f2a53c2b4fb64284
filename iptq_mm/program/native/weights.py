"""Weights as panels, and the requantization of their channels in native form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .commands import LANES

#: Bytes of depth that one step of the product takes.
_GROUP = 4
_INT64 = 2**63


@dataclass(frozen=True)
class Panels:
    """Packed weights.

    Attributes:
        data: uint8, the panels one after the other (see ``panels.h``).
        width: Vectors of 16 columns in a panel.
        bits: Of a weight, 8 or 4.
        n: Columns, the channels of the output.
        k: Depth.
    """

    data: Tensor
    width: int
    bits: int
    n: int
    k: int

    @property
    def columns(self) -> int:
        """Columns with padding."""
        return -(-self.n // LANES) * LANES


def pack(weight: Tensor) -> Panels:
    """Weights as the kernel wants them; those of 4 bits two a byte.

    Args:
        weight: int8, shape (n, k).
    """
    n, k = weight.shape
    vectors, groups = -(-n // LANES), -(-k // _GROUP)
    # Three vectors where they fill all panels and four do not.
    width = 3 if vectors % 3 == 0 and vectors % 4 else min(4, vectors)
    padded = torch.zeros(vectors * LANES, groups * _GROUP, dtype=torch.int8)
    padded[:n, :k] = weight
    narrow = bool(weight.numel()) and -8 <= int(weight.min()) <= int(weight.max()) <= 7
    parts = []
    for panel in padded.split(width * LANES):
        quads = panel.view(-1, groups, _GROUP).transpose(0, 1)
        codes = quads.contiguous().view(torch.uint8)
        if narrow:
            codes = (codes[..., 0::2] & 15) | (codes[..., 1::2] << 4)
        parts.append(codes.flatten())
    return Panels(torch.cat(parts), width, 4 if narrow else 8, n, k)


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
    base: int,
) -> Channels:
    """The native form of a linear layer's requantization.

    Args:
        multiplier: int64, shape (n,), below ``2**31``.
        offset: int64, shape (n,), the rounding half included.
        shift: int64, shape (n,).
        bound: Largest magnitude of each channel's accumulator, int64, shape (n,).
        clamp: Smallest and largest result.
        base: What codes of the result are less than it.

    Raises:
        OverflowError: If an offset that includes the base leaves 64 bits.
    """
    columns = -(-len(multiplier) // LANES) * LANES
    factors = [_padded(t, columns).tolist() for t in (multiplier, offset, shift)]
    bounds = _padded(bound, columns).tolist()
    m, o, s = factors
    s = [max(1, shift) for shift in s]
    o = [a - (base << b) for a, b in zip(o, s, strict=True)]
    largest = (abs(a) + abs(b) * c for a, b, c in zip(o, m, bounds, strict=True))
    if max(largest) >= _INT64:
        raise OverflowError('an offset and the base of the output leave 64 bits')
    low, high = clamp[0] - base, clamp[1] - base
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
