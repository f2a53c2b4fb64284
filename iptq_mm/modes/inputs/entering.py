"""Which arguments of a call enter its region as values."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from ...pixels import Pixels, is_image
from ..region import is_real
from .given import given_name, is_integers


def enters(
    leaves: Sequence[Any], pixels: Pixels | None, inputs: Container[str]
) -> list[bool]:
    """Whether each argument is a value of the region; others are part of the program.

    Args:
        leaves: The arguments, flattened.
        pixels: How images were normalized that the region takes as pixels.
        inputs: Names of the inputs that the plan has.
    """
    return list(_enters(leaves, pixels, inputs))


def _enters(
    leaves: Sequence[Any], pixels: Pixels | None, inputs: Container[str]
) -> Iterator[bool]:
    count = 0
    for x in leaves:
        if is_real(x) or is_image(x, pixels):
            yield True
        elif is_integers(x):
            yield given_name(count) in inputs
            count += 1
        else:
            yield False
