"""The base class of modes: how values enter a region, pass its sites and leave it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from ..intmath import QParams
from ..kept_float import RETURNED, returned_name
from ..operations import Operation
from ..pixels import Pixels
from ..plan import RegionPlan
from ..qtensor import QTensor
from ..qtensor.channel_shifts import dropped_bits, fewer_bits, shift_channels
from ..qtensor.context import current_location, outside_regions
from ..qtensor.errors import unsupported
from ..qtensor.mode import Mode as ModeOfRules
from .inputs.given import GivenInputs

#: The first input of a region; it may be pixels.
FIRST = PIXELS = 'input:0'
#: Bits of a constant that is computed from parameters (a resized position embedding).
CONSTANT_BITS = 16


class Mode(GivenInputs, ModeOfRules, ABC):
    """An interpreter of a region: it decides what operations do with the numbers.

    The model code and the rules are the same in every mode. :class:`FloatMode` and its
    subclasses in :mod:`iptq_mm.calibration` compute in floats and take notes;
    :class:`~iptq_mm.modes.Integer` computes in integers. The rules call :meth:`run`,
    :meth:`fold`, :meth:`constant` and :meth:`padding`; the region calls the others.

    Attributes:
        images: Images in the running batch.
        channel_shifts: By site: the left shift of each channel of its first operand,
            see :func:`~iptq_mm.qtensor.channel_shifts.shift_channels`. Sites without
            shifts are not in it.
        trains: Whether the module may be in training mode.
    """

    images: int = 1
    trains: bool = True
    channel_shifts: Mapping[str, Sequence[int]] = MappingProxyType({})

    @abstractmethod
    def enter(self, name: str, value: Tensor) -> QTensor:
        """The QTensor for a float tensor that enters the region.

        Args:
            name: Name of the input, ``input:0`` for instance.
            value: The float tensor.
        """

    def enter_image(self, name: str, image: Tensor, pixels: Pixels) -> QTensor:
        """The QTensor for an image that enters the region as its pixels.

        Args:
            name: Name of the input.
            image: Normalized floats or uint8, shape (B, C, H, W).
            pixels: How it was normalized.
        """
        entered = self.enter(name, pixels.centred(image))
        entered.zero_point = pixels.zero_point
        return entered

    @abstractmethod
    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """The QTensor that the module's code sees in place of a parameter."""

    @abstractmethod
    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """The result of an operation, at the next site of the running module."""

    def leave(self, value: QTensor) -> Tensor:
        """The float tensor for a value that leaves the region."""
        return value.real_values()

    def hand_out(self, value: QTensor) -> Tensor:
        """The float tensor that a module kept float gets for a value."""
        return value.real_values()

    def call_float(
        self, path: str, forward: Callable[..., Any], args: tuple, kwargs: dict
    ) -> Any:
        """Call a module of the region that stays float.

        Args:
            path: Its path in the region.
            forward: Its ``forward``.
            args: Its arguments, QTensors among them.
            kwargs: The same.

        Returns:
            What it returns, float tensors as QTensors.
        """
        location = current_location()
        assert location is not None

        def floats(x: Any) -> Any:
            if not isinstance(x, QTensor):
                return x
            return self.hand_out(x) if x.given is None else self.read_given(x)

        def entered(x: Any) -> Any:
            if not isinstance(x, Tensor) or not x.is_floating_point():
                return x
            number = location.next_number(f'{RETURNED}{path}')
            return self.enter(returned_name(path, number), x.float())

        args, kwargs = tree_map(floats, (args, kwargs))
        with outside_regions():
            result = forward(*args, **kwargs)
        return tree_map(entered, result)

    def constant(self, value: Tensor) -> QTensor:
        """A float tensor of the model code, which depends on no input, as a QTensor."""
        return QTensor(value.float(), None, 'constant', constant=True)

    def fold(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """The result of a torch function of constants, computed in floats."""

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
        """A float tensor in the result of :meth:`fold` as a constant.

        Args:
            value: The tensor.
            source: Source of the first constant that it was computed from.
        """
        return QTensor(value, None, source, constant=True)

    def padding(self, x: QTensor) -> None:  # noqa: B027  (most modes need not know)
        """Take note that a value is about to be padded with 0.0; by default nothing."""

    def operands(
        self, site: str, inputs: Sequence[QTensor | None]
    ) -> Sequence[QTensor | None]:
        """The operands of a site, with the channels of the first one shifted."""
        if site not in self.channel_shifts:
            return inputs
        x, *parameters = inputs
        assert x is not None
        shifted = shift_channels(x, self.channel_shifts[site])
        fewer = fewer_bits(shifted.qparams)
        return [
            shifted if fewer is None else self.coarser(site, shifted, fewer),
            *parameters,
        ]

    def coarser(self, site: str, x: QTensor, qparams: QParams) -> QTensor:
        """A value whose channels were shifted, with the bits that sites take.

        Args:
            site: The site.
            x: The value.
            qparams: Its quantizer then, see
                :func:`~iptq_mm.qtensor.channel_shifts.fewer_bits`.
        """
        return dropped_bits(x, qparams)

    def next_site(self, operation: Operation) -> str:
        """The name of the next site of an operation in the running module."""
        location = current_location()
        assert location is not None
        return location.next_site(operation.kind)


class FloatMode(Mode):
    """A mode that computes in floats, as the model would by itself."""

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
        """The float result of an operation."""
        operands = self.operands(site, inputs)
        payloads = [None if x is None else x.payload for x in operands]
        return self.computed(operation, operation.real(payloads, attributes))

    def computed(self, operation: Operation, value: Tensor) -> Tensor:
        """What goes on as the result of an operation; by default, it does."""
        return value


def _first_source(tree: Any) -> str:
    """Source of the first QTensor in a tree of arguments."""
    each = (x.source for x in tree_flatten(tree)[0] if isinstance(x, QTensor))
    return next(each, 'constant')


def operand_qparams(x: QTensor, wanted: QParams, plan: RegionPlan) -> QParams:
    """The quantizer that a site requantizes an operand to.

    The plan states it for the value as its producer made it. Model code may have
    multiplied the value by a number or added a constant since then, which changes the
    scale or the range in the same way.

    Args:
        x: The operand as it arrives at the site.
        wanted: The planned quantizer of the operand.
        plan: The region's plan, which has the quantizer that ``x`` was produced with.

    Returns:
        ``wanted``, adapted to ``x``.
    """
    made = plan.inputs.get(x.source) or plan.sites[x.source].output
    assert isinstance(x.qparams, QParams)
    if x.qparams == made and x.factor > 0:
        return wanted
    scale = wanted.scale * abs(x.factor)
    low, high, before, after = wanted.qmin, wanted.qmax, made.qmin, made.qmax
    if x.factor < 0:
        low, high, before, after = -high, -low, -after, -before
    if (x.qparams.qmin, x.qparams.qmax) == (before, after):
        if x.factor > 0:
            return replace(wanted, scale=scale)
        levels = wanted.levels and tuple(-n for n in reversed(wanted.levels))
        return QParams(scale, low, high, levels)
    real_low = low * scale + (x.qparams.qmin - before) * x.qparams.scale
    real_high = high * scale + (x.qparams.qmax - after) * x.qparams.scale
    if low == -high and wanted.levels is None:
        amax = max(-real_low, real_high)
        return QParams(amax / high, low, high)
    # Levels that were chosen for other values are of no use.
    return QParams.asymmetric(real_low, real_high, wanted.code_bits)


def quantized_constant(value: Tensor, source: str) -> QTensor:
    """A float constant as integers of ``CONSTANT_BITS`` bits.

    Raises:
        UnsupportedOperationError: If it is not finite.
    """
    if not torch.isfinite(value).all():
        raise unsupported(
            'a constant holds infinity or NaN, which no scale expresses',
            'check the parameters and the model code',
        )
    qparams = QParams.symmetric(float(value.abs().max()), CONSTANT_BITS)
    return QTensor(qparams.quantize(value), qparams, source, constant=True)
