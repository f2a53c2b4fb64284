"""The structs that commands are made of, with the fields of ``src/fields.h``."""

from __future__ import annotations

import ctypes
from typing import Any

#: Most dimensions of a strided command.
DIMS = 6
Word = ctypes.c_int64
Real = ctypes.c_double
Address = ctypes.c_void_p


class Fields(ctypes.Structure):
    """A C struct of 64-bit numbers, addresses and other structs."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


def fields(*groups: str | tuple[str, Any]) -> list[tuple[str, Any]]:
    """Returns ``_fields_`` of a ctypes structure.

    Args:
        *groups: Names of 64-bit numbers in one string, those of addresses with a star
            before them as in C (``'rows *x'``); or a pair of a name and a ctypes type.
    """
    made: list[tuple[str, Any]] = []
    for group in groups:
        if isinstance(group, str):
            made.extend(
                (name.lstrip('*'), Address if name.startswith('*') else Word)
                for name in group.split()
            )
        else:
            made.append(group)
    return made


class Requantization(Fields):
    """Constants of ``clamp((x * multiplier + offset) >> shift, low, high)``."""

    _fields_ = fields('multiplier offset shift low high fits_int32')


class Sum(Fields):
    """Constants of ``clamp((a * left + b * right + offset) >> shift, low, high)``."""

    _fields_ = fields('left right offset shift low high fits_int32')


class Interpolation(Fields):
    """Constants of ``interpolated_gelu``, which is quicker than a table of it."""

    _fields_ = fields(
        '*table *slope last left multiplier fraction_bits relu up offset shift low '
        'high *codes'
    )


class Softmax(Fields):
    """Constants of the softmax of a row."""

    _fields_ = fields(
        'form clamp down multiplier cap half *table *fine *medium *mantissa *exponent '
        'codes one quotient_shift high zero_point'
    )


class ScoreAddition(Fields):
    """A tensor that is added to the scores of an attention."""

    _fields_ = fields('*addend *at row most hides', ('sum', Sum))


class View(Fields):
    """A strided tensor of codes: ``integer = code - zero_point``."""

    _fields_ = fields('*data type zero_point', ('stride', Word * DIMS))


class Window(Fields):
    """The geometry of a convolution: which pixels each row of the product takes."""

    _fields_ = fields(
        'height width out_height out_width kernel_height kernel_width '
        'stride_height stride_width pad_top pad_left dilation_height dilation_width '
        'image row pixel *zeros depthwise'
    )
