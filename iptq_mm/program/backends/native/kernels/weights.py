"""Packed weights, and the requantization of their channels in native form.

Equation (3) of :mod:`.gemm`, ``y = (acc * multiplier + offset) >> shift`` of a
channel, has two forms in C++ (``epilogue/epilogue.inl``).

*Exact*: as it stands, in 64 bits, for any constants.

*Quick*: AVX512 multiplies 16 lanes of 32 bits to 64-bit products in two instructions
(the even lanes, then the odd ones). If every shift were 32, a result would simply be
the upper half of its product. So the shift is split into exactly 32 and a rest, which
is left to do on 32-bit lanes, 16 at a time::

    up   = max(0, 32 - shift)
    rest = shift + up - 32                                              (>= 0)

    y = (((acc << up) * multiplier + (offset << up)) >> 32) >> rest       (4)

For shifts below 32, ``up`` multiplies the numerator by ``2**up``, so that the sum of
both shifts is ``shift + up``; rounding down twice is rounding down once. Where all
shifts are 32 or more, there is no ``up``. This form is exact, too, if no step
overflows:

- ``|acc| << up < 2**31``: the shifted accumulator stays in its 32-bit lane;
- ``|multiplier| < 2**31``: then the product is below ``2**62``;
- ``|offset| << up < 2**62``: then the sum is below ``2**63``, and its upper half fits
  into 32 bits;
- ``|acc * multiplier| + |offset| < 2**62``: kernels may double both where ``up`` is 0.

One channel that breaks a condition sends the whole product to the exact form.
"""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from .....native.commands import LANES
from ....ir.shared_factors import Shared, shared_factors

#: Adjacent depths of a group, and bytes that one instruction multiplies and adds.
_GROUP = 4
_INT64 = 2**63
#: Integers of 8 bits of which float32 adds up as many exactly, in any order.
_EXACT_IN_FLOAT32 = 2**24 // 2**7


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """Weights in the order in which the kernel reads them: see ``product/panels.h``.

    Attributes:
        data: uint8, the panels one after the other.
        width: Vectors of 16 columns in a panel.
        bits: Bits of a weight, 8, 4, or 16 where words are multiplied by words.
        group: Depths of a column that share a factor; 0: there are no factors.
        factors: uint8, two factors a byte, or None.
    """

    data: Tensor
    width: int
    bits: int
    group: int = 0
    factors: Tensor | None = None


#: Packed weights and constants in use, by digests of what they were made of: programs
#: for other numbers of rows, or other sizes of images, share them.
_IN_USE: WeakValueDictionary[tuple, PackedWeights] = WeakValueDictionary()
_CONSTANTS_IN_USE: WeakValueDictionary[tuple, ChannelConstants] = WeakValueDictionary()
#: Versions and digests of tensors that live: those of programs, which share them.
_DIGESTS: MutableMapping[Tensor, tuple[int, bytes]] = WeakTensorKeyDictionary()


def packed_once(weight: Tensor) -> PackedWeights:
    """What :func:`pack` makes of a weight; packed anew only if no program uses it."""
    # Not by address: a weight of few bits is unpacked anew for each program.
    key = content_of(weight)
    made = _IN_USE.get(key)
    if made is None:
        made = _IN_USE[key] = pack(weight)
    return made


def content_of(tensor: Tensor) -> tuple:
    """A key that is equal for tensors of equal integers, shape and type."""
    whole = tensor if tensor._base is None else tensor._base
    if whole.is_inference() or not (
        whole.is_contiguous()
        and tensor.is_contiguous()
        and tensor.data_ptr() == whole.data_ptr()
        and tensor.nbytes == whole.nbytes
    ):
        return tuple(tensor.shape), tensor.dtype, _digest(tensor)
    version, digest = _DIGESTS.get(whole, (None, b''))
    if version != whole._version:
        digest = _digest(whole)
        _DIGESTS[whole] = whole._version, digest
    return tuple(tensor.shape), tensor.dtype, digest


def _digest(tensor: Tensor) -> bytes:
    content = tensor.contiguous().numpy().data
    return hashlib.blake2b(content, digest_size=16).digest()


def pack(weight: Tensor) -> PackedWeights:
    """Pack weights into panels, two a byte if 4 bits hold them.

    Those of 4 bits may be multiplied by factors of groups of depths.

    Args:
        weight: int8, or int16 for products of words by words, shape (n, taps, depth of
            a tap).
    """
    n, taps, depth = weight.shape
    vectors, groups = -(-n // LANES), taps * -(-depth // _GROUP)
    # Three vectors where they fill all panels and four do not.
    width = 3 if vectors % 3 == 0 and vectors % 4 else min(4, vectors)
    padded = weight.new_zeros(vectors * LANES, taps, groups // taps * _GROUP)
    padded[:n, :, :depth] = weight
    bits = 8 * weight.element_size()
    shared = Shared(padded, 0, None)
    if bits == 8 and weight.numel():
        low, high = weight.aminmax()
        if low >= -8 and high <= 7:
            bits = 4
        else:
            shared = shared_factors(padded)
            bits = 4 if shared.group else 8
    together = _GROUP // weight.element_size()
    parts = []
    for panel in shared.codes.split(width * LANES):
        adjacent = panel.reshape(len(panel), -1, together).transpose(0, 1)
        codes = adjacent.contiguous().view(torch.uint8)
        if bits == 4:
            codes = (codes[..., 0::2] & 15) | (codes[..., 1::2] << 4)
        parts.append(codes.flatten())
    factors = None
    if shared.factors is not None:
        parts_of_factors = []
        for panel in shared.factors.split(width * LANES):
            less = panel.flatten(1).t().contiguous() - 1
            parts_of_factors.append((less[:, 0::2] | (less[:, 1::2] << 4)).flatten())
        factors = torch.cat(parts_of_factors)
    return PackedWeights(torch.cat(parts), width, bits, shared.group, factors)


def row_sums(weight: Tensor, magnitudes: bool = False) -> Tensor:
    """Exact sums of the weights of each channel, or of their magnitudes.

    Floats, since torch adds integers one after the other: a program for another size of
    images sums all weights up again.

    Args:
        weight: int8 or int16, shape (n, taps, depth).
        magnitudes: Whether signs do not matter.

    Returns:
        int64, shape (n,).
    """
    rows = weight.flatten(1)
    few = weight.dtype == torch.int8 and rows.shape[1] <= _EXACT_IN_FLOAT32
    wide = rows.to(torch.float32 if few else torch.float64)
    return (wide.abs_() if magnitudes else wide).sum(1).long()


def by_taps(weight: Tensor) -> Tensor:
    """Weights of a depthwise convolution, tap after tap, columns padded.

    Args:
        weight: int8, shape (n, taps, 1).
    """
    n, taps, _ = weight.shape
    padded = weight.new_zeros(taps, -(-n // LANES) * LANES)
    padded[:, :n] = weight[..., 0].t()
    return padded


@dataclass(frozen=True, eq=False)
class ChannelConstants:
    """Constants of the requantization by channel, padded to whole vectors.

    Attributes:
        quick: Whether the arrays are those of the quick form.
        multiplier: int64; in the quick form, in each block of 16 columns the even ones
            come first.
        offset: int64, in the same order. The rounding half, and the zero point of the
            result, are included; in the quick form shifted by ``up``.
        up: int32; None: 0 in all channels, or the exact form.
        shift: int32, ``rest`` in the quick form.
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


def constants_once(
    factors: Sequence[Tensor], bound: Tensor, clamp: tuple[int, int], zero_point: int
) -> ChannelConstants:
    """What :func:`channel_constants` makes; anew only if no program uses it.

    Args:
        factors: Multiplier, offset and shift.
        bound: See there.
        clamp: See there.
        zero_point: See there.
    """
    key = *map(content_of, (*factors, bound)), clamp, zero_point
    made = _CONSTANTS_IN_USE.get(key)
    if made is None:
        multiplier, offset, shift = factors
        made = channel_constants(multiplier, offset, shift, bound, clamp, zero_point)
        _CONSTANTS_IN_USE[key] = made
    return made


def channel_constants(
    multiplier: Tensor,
    offset: Tensor,
    shift: Tensor,
    bound: Tensor,
    clamp: tuple[int, int],
    zero_point: int,
) -> ChannelConstants:
    """The quick form of a requantization if that is exact, or else the exact form.

    Args:
        multiplier: int64, shape (n,), below ``2**31``.
        offset: int64, shape (n,), the rounding half included.
        shift: int64, shape (n,).
        bound: Largest magnitude of each channel's accumulator, int64, shape (n,).
        clamp: Smallest and largest result.
        zero_point: Zero point of the result: a code is the result plus it.

    Raises:
        OverflowError: If an offset that includes the zero point leaves 64 bits.
    """
    columns = -(-len(multiplier) // LANES) * LANES
    factors = [_padded(t, columns).tolist() for t in (multiplier, offset, shift)]
    bounds = _padded(bound, columns).tolist()
    m, o, s = factors
    s = [max(1, shift) for shift in s]  # 0 in padded columns, which nobody reads
    o = [a + (zero_point << b) for a, b in zip(o, s, strict=True)]
    largest = (abs(a) + abs(b) * c for a, b, c in zip(o, m, bounds, strict=True))
    if max(largest) >= _INT64:
        raise OverflowError('an offset and the zero point of the output leave 64 bits')
    low, high = clamp[0] + zero_point, clamp[1] + zero_point
    up = [max(0, 32 - shift) for shift in s]
    quick = all(
        bound << u < 2**31 and abs(a) << u < 2**62 and abs(a) + abs(b) * bound < 2**62
        for bound, u, a, b in zip(bounds, up, o, m, strict=True)
    )
    if not quick:
        factor, addend = (torch.tensor(t, dtype=torch.int64) for t in (m, o))
        exact = torch.tensor(s, dtype=torch.int32)
        return ChannelConstants(False, factor, addend, None, exact, low, high)
    o = [a << u for a, u in zip(o, up, strict=True)]
    rest = [shift + u - 32 for shift, u in zip(s, up, strict=True)]
    return ChannelConstants(
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
