"""Counting of the integers outside of a range.

The counts are one tensor of :data:`SLOTS` integers, to which torch and the C++ library
add alike:

==============  ========================================================
slots           what
==============  ========================================================
0 .. 31         values below the range, by ``floor(log2(distance))``
32 .. 63        values above it, the same way
64, 65          the largest distance below, and above
==============  ========================================================

A distance is in steps of the quantizer: the value ``qmin - 1`` is 1 step outside.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Bins on a side: bin ``i`` has the distances ``2**i .. 2**(i+1) - 1``.
BINS = 32
#: Length of a tensor of counts.
SLOTS = 2 * BINS + 2

#: Distances are measured up to here: largest magnitude of a value whose range has at
#: most 8, 17, or more bits. The limits are those of the integers that kernels make.
_REACH = ((8, 2**15 - 1), (17, 2**30 - 1), (64, 2**31 - 1))


def reach(low: int, high: int) -> tuple[int, int]:
    """The values up to which a distance is measured; values farther out count as these.

    A value of 8 bits is followed to 16 bits, 128 times its range; a wider one to 31 or
    32 bits. All ways to count share these limits, so that they get equal numbers::

        >>> reach(-128, 127)
        (-32767, 32767)

    Args:
        low: Smallest integer of the range.
        high: Largest integer of the range.
    """
    bits = (high - low).bit_length()
    most = next(most for limit, most in _REACH if bits <= limit)
    return min(-most, low), max(most, high)


def count_outside(x: Tensor, low: int, high: int, counts: Tensor) -> None:
    """Add the integers outside of ``low..high`` to counts. Cheap where there are none.

    Args:
        x: Integers, not clamped, any shape.
        low: Smallest integer of the range.
        high: Largest integer of the range.
        counts: int64, shape (SLOTS,), on the device of ``x``; changed in place.
    """
    if not x.numel():
        return
    least, most = torch.aminmax(x)
    first, last = reach(low, high)
    if int(least) < low:
        _add(counts, 0, low - x[x < low].long().clamp_min_(first))
    if int(most) > high:
        _add(counts, 1, x[x > high].long().clamp_max_(last) - high)


def _add(counts: Tensor, side: int, distances: Tensor) -> None:
    """Add distances, all at least 1, of one side."""
    # The exponent of a float64 is exact for integers of up to 53 bits.
    exponents = torch.frexp(distances.double())[1] - 1
    begin = side * BINS
    counts[begin : begin + BINS] += torch.bincount(exponents, minlength=BINS)
    largest = counts[2 * BINS + side]
    torch.maximum(largest, distances.max(), out=largest)
