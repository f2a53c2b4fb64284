"""Structures that the commands of the native library are made of."""

from __future__ import annotations

import ctypes
from typing import Any

#: Most dimensions of a strided command.
DIMS = 6
Word = ctypes.c_int64
Real = ctypes.c_double


class Fields(ctypes.Structure):
    """A structure made of names of 64-bit fields and of structures."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


def fields(*groups: str | tuple[str, Any]) -> list[tuple[str, Any]]:
    """List of ctypes' fields: words named in one string, or (name, type)."""
    made: list[tuple[str, Any]] = []
    for group in groups:
        if isinstance(group, str):
            made.extend((name, Word) for name in group.split())
        else:
            made.append(group)
    return made


class Requantization(Fields):
    """``clamp((x * multiplier + offset) >> shift)``."""

    _fields_ = fields('multiplier offset shift low high fits_int32')


class Sum(Fields):
    """``clamp((a * left + b * right + offset) >> shift)``."""

    _fields_ = fields('left right offset shift low high fits_int32')


class Interpolation(Fields):
    """``interpolated_gelu``, a quicker way to the same result as a table."""

    _fields_ = fields(
        'table slope last left multiplier fraction_bits relu up offset shift low high'
    )


class Softmax(Fields):
    """Softmax of a row."""

    _fields_ = fields(
        'form clamp down multiplier cap half table fine medium mantissa exponent '
        'codes one quotient_shift high zero_point'
    )


class Stage(Fields):
    """A number added to each score of an attention."""

    _fields_ = fields('addend at row', ('sum', Sum))


class View(Fields):
    """A strided tensor; unsigned bytes stand for ``byte - zero_point``."""

    _fields_ = fields('data type zero_point', ('stride', Word * DIMS))


class Window(Fields):
    """Where the pixels of a convolution lie."""

    _fields_ = fields(
        'height width out_height out_width kernel_height kernel_width '
        'stride_height stride_width pad_top pad_left dilation_height dilation_width '
        'image row pixel zeros depthwise'
    )
