"""Which arguments of a call enter its region as values."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from torch import nn

from ...pixels import Pixels, is_image, pixels_of
from ...plan import RegionPlan
from ..binding import bound_region
from ..integer import Integer
from ..region import is_real
from .given import given_name, is_integers


def entering(module: nn.Module, leaves: Sequence[Any]) -> list[bool]:
    """Whether each argument is a value of a region; others are part of the program.

    Args:
        module: The region's module, in integer mode.
        leaves: The arguments, flattened.
    """
    return list(_enters(leaves, pixels_of(module), _plan(module).inputs))


def given_count(module: nn.Module) -> int:
    """How many tensors of integers are values of a region, if they are the first."""
    inputs, count = _plan(module).inputs, 0
    while given_name(count) in inputs:
        count += 1
    return count


def _plan(module: nn.Module) -> RegionPlan:
    region = bound_region(module)
    assert region is not None and isinstance(region.mode, Integer)
    return region.mode.plan


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
