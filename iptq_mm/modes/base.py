"""What a mode decides: how values enter a region, meet a site and leave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..intmath import QParams, storage_dtype
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
        powers: By site whose first operand is amplified, see :func:`amplified`,
            the power of each channel.
        trains: Whether the module may be in training mode.
    """

    images: int = 1
    trains: bool = True
    powers: Mapping[str, Sequence[int]] = MappingProxyType({})

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

    def operands(
        self, site: str, inputs: Sequence[QTensor | None]
    ) -> Sequence[QTensor | None]:
        """What an operation works on; the same tensors, but for an amplified one."""
        if site not in self.powers:
            return inputs
        x, *parameters = inputs
        assert x is not None
        return [amplified(x, self.powers[site]), *parameters]

    def next_site(self, operation: Operation) -> str:
        """The name of the running site."""
        location = current_location()
        assert location is not None
        return location.next_site(operation.kind)


class FloatMode(Mode):
    """A mode whose numbers are floats. This one computes and does nothing else."""

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        return QTensor(value, None, name)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        return QTensor(value.detach(), None, f'parameter:{name}', constant=True)

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        return QTensor(self.compute(site, operation, inputs, attributes), None, site)

    def compute(
        self,
        site: str,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> Tensor:
        """The operation in floats."""
        operands = self.operands(site, inputs)
        payloads = [None if x is None else x.payload for x in operands]
        return operation.real(payloads, attributes)


def _first_source(tree: Any) -> str:
    """Source of the first QTensor in a tree of arguments."""
    found: list[str] = []
    tree_map(lambda x: found.append(x.source) if isinstance(x, QTensor) else None, tree)
    return found[0] if found else 'constant'


def amplified(x: QTensor, powers: Sequence[int]) -> QTensor:
    """Each channel (last dimension) times its power of two.

    The Power-of-Two Factor of FQ-ViT (Lin et al., arXiv 2111.13824, section 3.2):
    channels of a wide range were made small for one scale to serve all, and the
    operation that needs them as they were gets ``q << power``, a shift in integers.

    Args:
        x: Shape (..., C). Its quantizer, if any, becomes as wide as the largest
            power makes it, at the same scale.
        powers: C numbers from 0 on.
    """
    by, qparams, payload = torch.tensor(powers), x.qparams, x.payload
    if isinstance(qparams, QParams):
        most = int(by.max())
        qparams = QParams(qparams.scale, qparams.qmin << most, qparams.qmax << most)
    if x.is_integer:
        assert isinstance(qparams, QParams)
        dtype = storage_dtype(qparams.qmin, qparams.qmax)
        payload = payload.to(dtype) << by.to(payload.device, dtype)
    else:
        payload = payload * (2.0**by).to(payload.device, payload.dtype)
    other = x.like(payload)
    other.qparams = qparams
    return other


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
