"""Integers that go from region to region beside the floats that the model code sees."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ..intmath import QParams


class Handed(NamedTuple):
    """What a float tensor was made of.

    Attributes:
        integers: They stand for exactly what the tensor holds.
        qparams: By these.
        version: Of the tensor then; code outside may change it in place.
    """

    integers: Tensor
    qparams: QParams
    version: int


#: By identity of float tensors that left a region, as long as somebody has them. Not
#: torch's dictionary: this is on the way of each call of a small network.
_left: dict[int, tuple[weakref.ref, Handed]] = {}


def hand_over(real: Tensor, integers: Tensor, qparams: QParams) -> Tensor:
    """Note what a float tensor that leaves a region was made of.

    Returns:
        ``real``.
    """
    if not real.is_inference():  # those count no changes
        key = id(real)
        gone = weakref.ref(real, lambda _: _left.pop(key, None))
        _left[key] = gone, Handed(integers, qparams, real._version)
    return real


def made_of(x: Tensor) -> Handed | None:
    """What a float tensor stands for, if it left a region and is as it left it."""
    found = _left.get(id(x))
    if found is None:
        return None
    real, handed = found
    return handed if real() is x and handed.version == x._version else None


def handed_over(x: Tensor, qparams: QParams) -> Tensor | None:
    """The integers of a float tensor that enters a region.

    Args:
        x: The tensor, as it left another region perhaps.
        qparams: What the region makes of it.

    Returns:
        What ``qparams.quantize(x)`` would give; None: that has to be computed.
    """
    handed = made_of(x)
    return handed.integers if handed is not None and handed.qparams == qparams else None


#: By float tensors that left a region under observation, who made them.
_origins: Any = WeakIdKeyDictionary()


class Origin(NamedTuple):
    """Where an input of a region comes from: the value that another one gave away."""

    region: str
    value: str


def note_origin(real: Tensor, origin: Origin) -> None:
    """Note who made a tensor that leaves a region."""
    _origins[real] = origin


def origin_of(x: Tensor) -> Origin | None:
    """Who made a tensor that enters a region, if another region did."""
    return _origins.get(x)
