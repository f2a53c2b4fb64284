"""The commands of the native library, field by field those of ``commands.h``.

All fields are 64-bit integers: numbers, or addresses of buffers.
"""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar

#: Most dimensions of a strided command.
DIMS = 6
#: Columns of a vector of accumulators.
LANES = 16
#: Most additions to attention scores.
STAGES = 2
#: Bytes that a kernel may read beyond a buffer's end.
SLACK = 64

#: Types of elements.
U8, I8, I16, I32, I64 = range(5)
#: What follows a matrix product.
NOTHING, TABLE, ADD = range(3)

Word = ctypes.c_int64


class Fields(ctypes.Structure):
    """A structure made of names of 64-bit fields and of structures."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


def _fields(*groups: str | tuple[str, Any]) -> list[tuple[str, Any]]:
    """List of ctypes' fields: words named in one string, or (name, type)."""
    fields: list[tuple[str, Any]] = []
    for group in groups:
        if isinstance(group, str):
            fields.extend((name, Word) for name in group.split())
        else:
            fields.append(group)
    return fields


class Requantization(Fields):
    """``clamp((x * multiplier + offset) >> shift)``."""

    _fields_ = _fields('multiplier offset shift low high narrow')


class Sum(Fields):
    """``clamp((a * left + b * right + offset) >> shift)``."""

    _fields_ = _fields('left right offset shift low high narrow')


class Interpolation(Fields):
    """``interpolated_gelu``, a quicker way to the same result as a table."""

    _fields_ = _fields(
        'lines position_multiplier position_shift relu line_factor offset shift low '
        'high'
    )


class Stage(Fields):
    """A number added to each score of an attention."""

    _fields_ = _fields('addend at row', ('sum', Sum))


class View(Fields):
    """A strided tensor; unsigned bytes stand for ``byte + base``."""

    _fields_ = _fields('data type base', ('stride', Word * DIMS))


class Command(Fields):
    """A command; its first field is its kind."""

    kind_number: ClassVar[int]

    def __init__(self, **values: Any) -> None:
        super().__init__(kind=self.kind_number, **values)


class Gemm(Command):
    """Matrix product of bytes and packed weights, requantized by channel."""

    kind_number = 0
    _fields_ = _fields(
        'kind a a_row m n k weights bits width start quick multiplier offset up '
        'shift low high rows post table table_type residual residual_row',
        ('sum', Sum),
        ('line', Interpolation),
        'out out_type out_row',
    )


class Attention(Command):
    """``softmax(q k^T) v`` of each group."""

    kind_number = 1
    _fields_ = _fields(
        'kind groups queries keys depth value_depth q k v q_at k_at v_at out_at '
        'q_row k_row v_row out_row q_base',
        ('score', Requantization),
        'stages',
        ('stage', Stage * STAGES),
        'clamp down table table_high one quotient_shift p_high p_type p_base',
        ('result', Requantization),
        'out out_type',
    )


class LayerNorm(Command):
    """``ivit_layernorm`` of each row."""

    kind_number = 2
    _fields_ = _fields(
        'kind x x_row rows size rows_from root_shift epsilon '
        'reciprocal_bits drop shift multiplier addend low high zero out out_type '
        'out_row'
    )


class Affine(Command):
    """Sum of one or two tensors, requantized."""

    kind_number = 3
    _fields_ = _fields(
        'kind',
        ('shape', Word * DIMS),
        ('out', View),
        ('a', View),
        ('b', View),
        ('sum', Sum),
    )


class Product(Command):
    """Product of two tensors, requantized."""

    kind_number = 4
    _fields_ = _fields(
        'kind',
        ('shape', Word * DIMS),
        ('out', View),
        ('a', View),
        ('b', View),
        ('result', Requantization),
    )


class Lookup(Command):
    """``table[a - first]``."""

    kind_number = 5
    _fields_ = _fields(
        'kind', ('shape', Word * DIMS), ('out', View), ('a', View), 'table first'
    )


class Copy(Command):
    """Elements moved between two strided tensors."""

    kind_number = 6
    _fields_ = _fields(
        'kind', ('shape', Word * DIMS), 'size', ('out', View), ('a', View)
    )


class Gather(Command):
    """Runs of bytes from anywhere, or filled."""

    kind_number = 7
    _fields_ = _fields('kind a out runs_from runs size element zero')


class Mean(Command):
    """Mean along the last dimensions."""

    kind_number = 8
    _fields_ = _fields(
        'kind',
        ('shape', Word * DIMS),
        'kept',
        ('out', View),
        ('a', View),
        ('result', Requantization),
    )


#: Classes by number of kind.
KINDS: tuple[type[Command], ...] = (
    Gemm,
    Attention,
    LayerNorm,
    Affine,
    Product,
    Lookup,
    Copy,
    Gather,
    Mean,
)
