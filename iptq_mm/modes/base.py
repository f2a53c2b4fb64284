"""What a mode decides: how values enter a region, meet a site and leave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..intmath import QParams
from ..operations import Operation
from ..plan import RegionPlan
from ..qtensor import QTensor, UnsupportedOperationError
from ..qtensor.context import current_location, describe_location

#: Bits of a constant that is computed from parameters (a resized embedding).
CONSTANT_BITS = 16


class Mode(ABC):
    """A way to run a region; see the subclasses.

    Attributes:
        images: Images in the running batch.
    """

    images: int = 1

    @abstractmethod
    def enter(self, name: str, value: Tensor) -> QTensor:
        """A float tensor that enters the region."""

    @abstractmethod
    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """A parameter of the region, once a call."""

    @abstractmethod
    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """An operation at the running site."""

    def leave(self, value: QTensor) -> Tensor:
        """A value that leaves the region as a float tensor."""
        return value.real_values()

    def constant(self, value: Tensor) -> QTensor:
        """A float tensor of the model code that depends on no input."""
        return QTensor(value.float(), None, 'constant', constant=True)

    def fold(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Compute with constants only: in floats, before there are integers."""

        def real(x: Any) -> Any:
            return x.real_values() if isinstance(x, QTensor) else x

        source = _first_source((args, kwargs))
        result = func(*tree_map(real, args), **tree_map(real, kwargs))
        return tree_map(
            lambda t: (
                self.folded(t, source)
                if isinstance(t, Tensor) and t.is_floating_point()
                else t
            ),
            result,
        )

    def folded(self, value: Tensor, source: str) -> QTensor:
        """The result of :meth:`fold`."""
        return QTensor(value, None, source, constant=True)

    def padding(self, x: QTensor) -> None:  # noqa: B027  (most modes need not know)
        """A value that is about to be padded with zeros."""

    def next_site(self, operation: Operation) -> str:
        """The name of the running site."""
        location = current_location()
        assert location is not None
        return location.next_site(operation.kind)


class FloatMode(Mode):
    """A mode whose numbers are floats."""

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        return QTensor(value, None, name)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        return QTensor(value.detach(), None, f'parameter:{name}', constant=True)

    @staticmethod
    def compute(
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> Tensor:
        """The operation in floats."""
        payloads = [None if x is None else x.payload for x in inputs]
        return operation.real(payloads, attributes)


def _first_source(tree: Any) -> str:
    """Source of the first QTensor in a tree of arguments."""
    found: list[str] = []
    tree_map(lambda x: found.append(x.source) if isinstance(x, QTensor) else None, tree)
    return found[0] if found else 'constant'


def wanted_of(x: QTensor, wanted: QParams, plan: RegionPlan) -> QParams:
    """The quantizer that a site wants an operand in.

    Args:
        x: The operand as it arrives.
        wanted: The quantizer for the value as it was made; since then, it may
            have been multiplied by a number, or a constant added.
        plan: Says how it was made.

    Returns:
        ``wanted`` for the value as it is now.
    """
    made = plan.inputs.get(x.source) or plan.sites[x.source].output
    assert isinstance(x.qparams, QParams)
    if x.qparams == made:
        return wanted
    scale = wanted.scale * abs(x.factor)
    low, high, before, after = wanted.qmin, wanted.qmax, made.qmin, made.qmax
    if x.factor < 0:
        low, high, before, after = -high, -low, -after, -before
    if (x.qparams.qmin, x.qparams.qmax) == (before, after):
        return QParams(scale, low, high)
    real_low = low * scale + (x.qparams.qmin - before) * x.qparams.scale
    real_high = high * scale + (x.qparams.qmax - after) * x.qparams.scale
    if low == -high:
        amax = max(-real_low, real_high)
        return QParams(amax / high, low, high)
    return QParams.affine(real_low, real_high, wanted.bits)


def quantized_constant(value: Tensor, source: str) -> QTensor:
    """A constant as integers of ``CONSTANT_BITS`` bits.

    Raises:
        UnsupportedOperationError: If it is not finite.
    """
    if not torch.isfinite(value).all():
        raise UnsupportedOperationError(f'{describe_location()}: an infinite constant')
    qparams = QParams.symmetric(float(value.abs().max()), CONSTANT_BITS)
    return QTensor(qparams.quantize(value), qparams, source, constant=True)
