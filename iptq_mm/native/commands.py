"""The commands of the native library, with the fields of ``src/commands.h``.

That header says what each field means. :mod:`.layout` compares both when the library is
opened.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar

from .fields import (
    DIMS,
    Fields,
    Interpolation,
    Real,
    Requantization,
    ScoreAddition,
    Softmax,
    Sum,
    View,
    Window,
    Word,
    fields,
)

#: Columns of a vector of accumulators.
LANES = 16
#: Most additions to attention scores.
ADDITIONS = 2
#: Bytes that a kernel may read beyond a buffer's end.
SLACK = 64


class Type(IntEnum):
    """Types of elements."""

    U8 = 0
    I8 = 1
    I16 = 2
    I32 = 3
    I64 = 4
    F32 = 5


class Norm(IntEnum):
    """Forms of LayerNorm."""

    IVIT = 0
    IBERT = 1
    FQVIT = 2


class Exponential(IntEnum):
    """Exponentials of softmaxes."""

    TABLES = 0
    QUADRATIC = 1
    CHORD = 2
    TANGENT = 3
    POWERS = 4


class Post(IntEnum):
    """What follows a matrix product."""

    NOTHING = 0
    TABLE = 1
    ADD = 2
    RESCALE = 3


U8, I8, I16, I32, I64, F32 = Type
IVIT, IBERT, FQVIT = Norm
TABLES, QUADRATIC, CHORD, TANGENT, POWERS = Exponential
NOTHING, TABLE, ADD, RESCALE = Post


class Command(Fields):
    """A command; its first field, the kind, tells the library which one."""

    kind_number: ClassVar[int]

    def __init__(self, **values: Any) -> None:
        super().__init__(kind=self.kind_number, **values)


class Gemm(Command):
    """Matrix product with packed weights, requantized by channel."""

    kind_number = 0
    _fields_ = fields(
        'kind *a a_row m n k taps',
        ('window', Window),
        '*weights words bits width group *factors halves *start quick *multiplier '
        '*offset *up *shift low high *rows post *table table_type *residual '
        'residual_row *residual_rows',
        ('sum', Sum),
        ('line', Interpolation),
        '*out out_type out_row',
    )


class Attention(Command):
    """``softmax(q k^T) v`` of each group (a head of an image or of a window)."""

    kind_number = 1
    _fields_ = fields(
        'kind groups queries keys depth value_depth *q *k *v *q_at *k_at *v_at *out_at '
        'q_row k_row v_row out_row q_zero_point',
        ('score', Requantization),
        'additions',
        ('addition', ScoreAddition * ADDITIONS),
        ('softmax', Softmax),
        'p_type',
        ('result', Requantization),
        '*out out_type',
    )


class LayerNorm(Command):
    """LayerNorm of each row."""

    kind_number = 2
    _fields_ = fields(
        'kind form *x x_row rows size *rows_from up root_shift epsilon '
        'reciprocal_bits drop shift *multiplier *exponent *addend low high '
        'zero_point *out out_type out_row'
    )


#: Fields of the commands on one or two strided tensors.
_UNARY = (('shape', Word * DIMS), ('out', View), ('a', View))
_BINARY = (*_UNARY, ('b', View))


class Add(Command):
    """Elementwise sum of one or two tensors, requantized."""

    kind_number = 3
    _fields_ = fields('kind', *_BINARY, ('sum', Sum))


class Multiply(Command):
    """Elementwise product of two tensors, requantized."""

    kind_number = 4
    _fields_ = fields('kind', *_BINARY, ('result', Requantization))


class Lookup(Command):
    """Elementwise ``table[a - first]``; ``last`` is the table's last index."""

    kind_number = 5
    _fields_ = fields('kind', *_UNARY, '*table first last')


class Copy(Command):
    """Elements moved between two strided tensors."""

    kind_number = 6
    _fields_ = fields(
        'kind', ('shape', Word * DIMS), 'size', ('out', View), ('a', View)
    )


class Gather(Command):
    """Runs of bytes copied from anywhere, or filled with zeros."""

    kind_number = 7
    _fields_ = fields('kind *a *out *runs_from last runs size element zero_point')


class Mean(Command):
    """Mean or maximum along the last dimensions, requantized."""

    kind_number = 8
    _fields_ = fields(
        'kind',
        ('shape', Word * DIMS),
        'kept largest',
        ('out', View),
        ('a', View),
        ('result', Requantization),
    )


class SoftmaxRows(Command):
    """Softmax of rows that are no part of an attention."""

    kind_number = 9
    _fields_ = fields(
        'kind rows size *x x_type x_zero_point x_row',
        ('softmax', Softmax),
        '*out out_type out_row',
    )


class MatMul(Command):
    """Matrix product of two activations, of each group."""

    kind_number = 10
    _fields_ = fields(
        'kind groups m n k halves *a a_type a_zero_point *b b_type *a_at *b_at *out_at '
        'a_row b_row out_row by_columns',
        ('result', Requantization),
        '*out out_type',
    )


class Quantize(Command):
    """The integers of a tensor."""

    kind_number = 11
    _fields_ = fields(
        'kind count *x x_type x_zero_point',
        ('scale', Real),
        '*factor *shift channels plane low high *out out_type out_zero_point',
    )


class Dequantize(Command):
    """The floats that integers stand for, and a copy of the integers if wanted."""

    kind_number = 12
    _fields_ = fields('kind count *x x_type', ('scale', Real), '*out *codes')


class RoIAlign(Command):
    """Averages of samples in the bins of boxes; floats, outside the programs."""

    kind_number = 13
    _fields_ = fields(
        'kind count *rois *x x_type',
        ('step', Real),
        'channels height width rows columns',
        ('scale', Real),
        'sampling aligned *out',
    )


class Watch(Command):
    """Integers clamped, and counts of those outside of a range."""

    kind_number = 14
    _fields_ = fields('kind', *_UNARY, 'low high least most *counts')


#: All commands, in the order of their numbers.
KINDS: tuple[type[Command], ...] = (
    Gemm,
    Attention,
    LayerNorm,
    Add,
    Multiply,
    Lookup,
    Copy,
    Gather,
    Mean,
    SoftmaxRows,
    MatMul,
    Quantize,
    Dequantize,
    RoIAlign,
    Watch,
)
