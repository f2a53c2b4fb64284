"""Modes that show the operand and the result of every site, as they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...calibration.region_check.expected_values import spread, spread_step
from ...modes.base import FloatMode, Mode
from ...modes.integer import Integer
from ...operations import Operation
from ...qtensor import QTensor


class Seen(NamedTuple):
    """One call of a site.

    Attributes:
        kind: Of its operation.
        operand: Real values of the first operand as it arrives: the site may requantize
            it to fewer bits first.
        result: Real values.
        gamma: Real values of the other operands of a LayerNorm, shape (C,) or None.
        beta: As ``gamma``.
        sources: Sites or inputs that made the operands.
        channels: Of a sample, the channel of each value of the result, shape (n,).
    """

    kind: str
    operand: Tensor
    result: Tensor
    gamma: Tensor | None = None
    beta: Tensor | None = None
    sources: tuple[str, ...] = ()
    channels: Tensor | None = None


#: Values of a site that are looked at in one call.
MOST = 2**16
#: Called with the name of a site and what was seen there.
Watcher = Callable[[str, Seen], None]


class Watching(Mode):
    """Mixed into a mode: shows every call of a site to a watcher.

    Attributes:
        watcher: See :data:`Watcher`.
    """

    watcher: Watcher

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        x = super().run(operation, inputs, attributes)  # type: ignore[safe-super]
        first, *others = self.operands(x.source, inputs)
        assert first is not None
        norm = operation.kind == 'layer_norm'
        parameters = [None if p is None else _real(p) for p in others] if norm else []
        gamma, beta = (*parameters, None, None)[:2]
        sources = tuple(o.source for o in inputs if o is not None)
        seen = Seen(operation.kind, _real(first), _real(x), gamma, beta, sources)
        self.watcher(x.source, seen)
        return x


class WatchedFloats(Watching, FloatMode):
    """Float values.

    Args:
        watcher: See :data:`Watcher`.
    """

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher


class WatchedIntegers(Watching, Integer):
    """Integers; constants that are made serve the given mode, too.

    Args:
        mode: What runs the region otherwise.
        watcher: See :data:`Watcher`.
    """

    def __init__(self, mode: Integer, watcher: Watcher) -> None:
        vars(self).update(vars(mode))
        self.watcher = watcher


def sampled(seen: Seen) -> Seen:
    """At most about ``MOST`` values of operand and result, always the same ones."""
    return seen._replace(
        operand=spread(seen.operand, MOST),
        result=spread(seen.result, MOST),
        channels=_channels(seen.kind, seen.result),
    )


def _channels(kind: str, result: Tensor) -> Tensor:
    """The channel of each value that a sample of a result has.

    That is the place in the last dimension, of convolutions in the second one; heads of
    a product of four dimensions have channels of their own.
    """
    place = torch.arange(0, result.numel(), spread_step(result, MOST))
    shape = result.shape or torch.Size([1])
    if kind == 'conv2d' and len(shape) == 4:
        return place // (shape[2] * shape[3]) % shape[1]
    last = place % shape[-1]
    if kind == 'matmul' and len(shape) == 4:
        return place // (shape[2] * shape[3]) % shape[1] * shape[3] + last
    return last


def restored(integer: Seen, real: Seen) -> Seen:
    """What an integer LayerNorm gives, with the affine part of the float model.

    Equalization moves factors and offsets of its channels from gamma and beta into the
    layers that read it. All other kinds are returned as they are.
    """
    if integer.gamma is None or real.gamma is None:
        return integer
    found = integer.result
    none = torch.zeros_like(integer.gamma)
    beta, real_beta = (none if s.beta is None else s.beta for s in (integer, real))
    known = (integer.gamma != 0) & (real.gamma != 0)
    factor = torch.where(known, real.gamma / integer.gamma, 1.0)
    return integer._replace(result=(found - beta) * factor + real_beta)


def _real(x: QTensor) -> Tensor:
    return x.real_values().detach()
