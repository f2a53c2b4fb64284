"""Integers that a region shares with the next one beside the floats in between.

A region returns float tensors to the model code. If such a tensor enters another
region, quantizing it again would be a waste: the producer had the integers already. So
the producer remembers them by the float tensor (:func:`share_integers`), and a consumer
whose quantizer is the same takes them (:func:`integers_for_consumer`). While
calibration observes, it notes in the same way which region made a tensor
(:func:`note_producer`), so that the consumer's plan gets the producer's quantizer.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ..intmath import QParams


class SharedIntegers(NamedTuple):
    """The integers of a float tensor that left a region.

    Attributes:
        integers: ``qparams.dequantize(integers)`` is exactly the float tensor.
        qparams: Their quantizer.
        version: Version of the float tensor then; code outside may change it in place.
    """

    integers: Tensor
    qparams: QParams
    version: int


#: By the id of a float tensor that left a region, as long as the tensor lives. Torch's
#: WeakIdKeyDictionary is too slow here, where every call of a small network passes.
_shared: dict[int, tuple[weakref.ref, SharedIntegers]] = {}


def share_integers(real: Tensor, integers: Tensor, qparams: QParams) -> Tensor:
    """Remember the integers of a float tensor that leaves its region, the producer.

    Returns:
        ``real``.
    """
    if not real.is_inference():  # inference tensors have no version counter
        key = id(real)
        gone = weakref.ref(real, lambda _: _shared.pop(key, None))
        _shared[key] = gone, SharedIntegers(integers, qparams, real._version)
    return real


def shared_integers_of(x: Tensor) -> SharedIntegers | None:
    """The integers of a float tensor that left a region and was not changed since."""
    found = _shared.get(id(x))
    if found is None:
        return None
    real, shared = found
    return shared if real() is x and shared.version == x._version else None


def integers_for_consumer(x: Tensor, qparams: QParams) -> Tensor | None:
    """The producer's integers of a float tensor that enters a region, the consumer.

    Args:
        x: The tensor.
        qparams: The consumer's quantizer of this input.

    Returns:
        ``qparams.quantize(x)``, without computing it; None if no producer shares
        integers with this quantizer.
    """
    shared = shared_integers_of(x)
    return shared.integers if shared is not None and shared.qparams == qparams else None


class Producer(NamedTuple):
    """The region, and the value there, that an input of another region comes from."""

    region: str
    value: str


#: By float tensor that left a region while it was observed, as long as it lives.
_producers: Any = WeakIdKeyDictionary()


def note_producer(real: Tensor, producer: Producer) -> None:
    """Remember which region made a tensor that leaves it."""
    _producers[real] = producer


def producer_of(x: Tensor) -> Producer | None:
    """The producer of a tensor that enters a region; None if no region made it."""
    return _producers.get(x)
