"""Integer arithmetic with ONNX's operators, exact for every number.

ONNX shifts unsigned numbers only, and its division truncates. In ONNX Runtime 1.21 to
1.31, Min, Max, Clip and Sign of int64 compare the low halves of equal high halves as
signed numbers (microsoft/onnxruntime#32475): they are not used, nor is ReduceMax.
``findings/onnxruntime_int64_order.sh`` shows it. Overflow wraps, as in torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .builder import Builder, Known, Ref, holds, limits, narrowest

_UNSIGNED = {'int32': 'uint32', 'int64': 'uint64'}


def elementwise(
    b: Builder, kind: str, operands: Sequence[Ref], bounds: tuple[int, int], dtype: str
) -> Ref:
    """An operator of one type, in 32 bits where the numbers permit.

    Args:
        b: The graph.
        kind: Name of the operator.
        operands: What it takes.
        bounds: What its results lie in, but for overflow.
        dtype: Where they overflow, it is in this type.
    """
    if not holds(dtype, *bounds):
        compute = dtype if dtype in _UNSIGNED else 'int32'
        made = b.op(kind, *(b.cast(x, compute) for x in operands))
        return b.wrap(made, dtype)
    compute = narrowest(*bounds, *(n for x in operands for n in (x.low, x.high)))
    return b.op(kind, *(b.cast(x, compute) for x in operands), bounds=bounds)


def biased(b: Builder, x: Ref, dtype: str, signed: bool | None = None) -> Ref:
    """Unsigned numbers in the order of the signed ones.

    Half of the range is added where there are negative numbers (or ``signed``).
    """
    unsigned, half = _UNSIGNED[dtype], -limits(dtype)[0]
    x = b.cast(x, dtype)
    if not (x.low < 0 if signed is None else signed):
        return b.wrap(x, unsigned, x.low, x.high)
    bounds = x.low + half, x.high + half
    before = b.flipped.get(x.name)
    if before is not None and before.dtype == unsigned:  # flipped twice is as it was
        return before._replace(low=bounds[0], high=bounds[1])
    flipped = b.op('BitwiseXor', x, b.constant(-half, dtype))
    return b.wrap(flipped, unsigned, *bounds)


def unbiased(b: Builder, x: Ref, zero: int | Tensor | Ref, low: int, high: int) -> Ref:
    """Signed numbers in ``low..high`` again, ``zero`` subtracted."""
    dtype = narrowest(low, high)
    made = b.wrap(x, dtype, low, high)
    if isinstance(zero, int):
        if zero == 0:
            return made
        zero = torch.tensor(zero - (1 << 64) if zero >> 63 else zero)
    if isinstance(zero, Tensor):  # modulo the size of the type, like the rest
        zero = zero.to(getattr(torch, dtype))
        if not zero.any():
            return made
        if bool((zero == limits(dtype)[0]).all()):
            # The highest bit alone. To compilers that take overflow for impossible
            # (TVM), ``x - half`` is ``x | half``, which is wrong below 0.
            flipped = b.op('BitwiseXor', made, b.given(zero), bounds=(low, high))
            b.flipped[flipped.name] = x
            return flipped
        zero = b.given(zero)
    return b.op('Sub', made, b.wrap(zero, dtype), bounds=(low, high))


def shift_right(b: Builder, x: Ref, amount: Known | int) -> Ref:
    """``x >> amount`` of signed numbers, with torch's result for any amount.

    ``(x & -2**s) / 2**s`` has fewer operators and takes more than twice as long.
    """
    if isinstance(amount, Ref):
        ends = amount.low, amount.high
        dtype = narrowest(x.low, x.high, *ends)  # which must have the amounts, too
    else:
        amount = torch.as_tensor(amount, dtype=torch.int64)
        ends = int(amount.min()), int(amount.max())
        dtype = narrowest(x.low, x.high)
    most = torch.iinfo(getattr(torch, dtype)).bits - 1
    # A negative amount shifts as far as can be.
    farthest = most if ends[0] < 0 else min(ends[1], most)
    least = min(max(ends[0], 0), most)
    bounds = (
        x.low >> (least if x.low < 0 else farthest),
        x.high >> (farthest if x.high < 0 else least),
    )
    zero = -limits(dtype)[0] if x.low < 0 else 0
    return shift_biased(b, biased(b, x, dtype), zero, amount, bounds)


def shift_biased(
    b: Builder, x: Ref, zero: int, amount: Ref | Tensor, bounds: tuple[int, int]
) -> Ref:
    """``(x - zero) >> amount``, within bounds, of unsigned numbers.

    ``zero`` is 0 or the highest bit: it is shifted on its own and subtracted then.
    """
    most = 31 if x.dtype == 'uint32' else 63
    rest: int | Tensor | Ref = 0
    if isinstance(amount, Tensor):
        s = torch.where((amount < 0) | (amount > most), most, amount)
        by = b.given(s, x.dtype)
        if zero:  # 2**63 is negative as int64, and the same modulo 2**64
            rest = torch.ones_like(s) << (most - s)
    else:  # a negative amount is larger than any, unsigned
        by = b.wrap(amount, x.dtype, amount.low, amount.high)
        if amount.low < 0 or amount.high > most:
            by = b.op('Min', by, b.constant(most, x.dtype))
        if zero:
            half = b.constant(zero, x.dtype)
            rest = b.op('BitShift', half, by, direction='RIGHT')
    return unbiased(b, b.op('BitShift', x, by, direction='RIGHT'), rest, *bounds)


def multiply(b: Builder, x: Ref, y: Ref, dtype: str) -> Ref:
    """``x * y``; of a number with itself, it is known not to be negative."""
    corners = [m * n for m in (x.low, x.high) for n in (y.low, y.high)]
    low, high = min(corners), max(corners)
    if x.name == y.name:
        low = 0 if x.low <= 0 <= x.high else min(x.low**2, x.high**2)
    return elementwise(b, 'Mul', (x, y), (low, high), dtype)


def shift_left(b: Builder, x: Ref, amount: Known | int, dtype: str) -> Ref:
    """``x << amount``, with torch's result for any amount."""
    one = torch.ones((), dtype=getattr(torch, dtype))
    if not isinstance(amount, Ref):
        powers = one << torch.as_tensor(amount, dtype=one.dtype)
        return multiply(b, x, b.given(powers), dtype)
    width = torch.iinfo(one.dtype).bits
    most = min(amount.high, width) if amount.low >= 0 else width
    by = amount
    if amount.low < 0 or amount.high > most:  # unsigned, the negative is the largest
        compute = narrowest(amount.low, amount.high)
        unsigned = b.wrap(b.cast(amount, compute), _UNSIGNED[compute])
        least = b.op('Min', unsigned, b.constant(most, unsigned.dtype))
        by = b.wrap(least, compute, 0, most)
    powers = one << torch.arange(most + 1, dtype=one.dtype)
    index = b.cast(by, narrowest(by.low, by.high))
    return multiply(b, x, b.moved('Gather', b.given(powers), index, axis=0), dtype)


def floor_divide(b: Builder, x: Ref, divisor: Ref, dtype: str) -> Ref:
    """``x // divisor``, rounded down."""
    least, most = divisor.low, max(-x.low, x.high)
    if least > 0:
        bounds = min(0, x.low // least), max(0, x.high // least)
    else:
        bounds = -most, most
    quotient = elementwise(b, 'Div', (x, divisor), bounds, dtype)  # rounded to zero
    if x.low >= 0 and least > 0:
        return quotient
    compute = narrowest(*bounds, x.low, x.high, divisor.low, divisor.high)
    quotient, x, y = (b.cast(n, compute) for n in (quotient, x, divisor))
    product = b.op('Mul', quotient, y)
    if least > 0:
        above = b.op('Greater', product, x, dtype='bool')
    else:  # rounded up where the rest and the divisor have other signs
        rest = b.op('Sub', x, product)
        other = b.op(
            'Less', b.op('BitwiseXor', rest, y), b.given(0, compute), dtype='bool'
        )
        some = b.op('Equal', rest, b.given(0, compute), dtype='bool')
        above = b.op('And', other, b.op('Not', some, dtype='bool'), dtype='bool')
    return b.op('Sub', quotient, b.cast(above, compute), bounds=bounds)


def scaled(
    b: Builder,
    x: Ref,
    multiplier: int | Tensor,
    offset: int | Tensor,
    shift: int | Tensor,
) -> Ref:
    """``(x * multiplier + offset) >> shift`` in 64 bits: every requantization.

    ONNX shifts unsigned numbers. So the results are raised above 0, by an addend that
    the offset takes along, and lowered again. No sum overflows by it: compilers may
    take the overflow of signed numbers for impossible. Where a sum needs all 64 bits,
    its highest one is flipped instead.
    """
    m, o, s = (
        torch.as_tensor(n, dtype=torch.int64) for n in (multiplier, offset, shift)
    )
    each = (n.flatten().tolist() for n in torch.broadcast_tensors(m, o, s))
    rows = list(zip(*each, strict=True))
    sums = [(end * m + o, s) for m, o, s in rows for end in (x.low, x.high)]
    low, high = min(n >> s for n, s in sums), max(n >> s for n, s in sums)
    product = b.op('Mul', b.cast(x, 'int64'), b.given(m))
    # In 32 bits, 2**32 needs not be subtracted.
    choices = (1 << 32, -low) if low < 0 and holds('int32', low, high) else (-low,)
    for raised in choices if low < 0 else (0,):
        ends = [n + (raised << s) for n, s in sums]
        addends = [o + (raised << s) for _, o, s in rows]
        if min(ends) >= 0 and max(*ends, *addends) < 1 << 63:
            addend = o + (torch.full_like(s, raised) << s)
            total = b.op('Add', product, b.given(addend))
            made = b.op(
                'BitShift',
                b.wrap(total, 'uint64'),
                b.given(s, 'uint64'),
                bounds=(low + raised, high + raised),
                direction='RIGHT',
            )
            if raised == 1 << 32:
                return b.wrap(made, 'int32', low, high)
            made = b.cast(made, narrowest(low, high + raised))
            if not raised:
                return made
            return b.op('Sub', made, b.given(raised, made.dtype), bounds=(low, high))
    total = b.op('Add', product, b.given(o))
    return shift_biased(b, biased(b, total, 'int64', True), 1 << 63, s, (low, high))
