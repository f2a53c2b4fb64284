"""Tracing: the program of a region, from one call in integer mode.

The module's own code runs, unmodified, on outlines: tensors of integers that have a
shape and no elements, because no program depends on them. What it does to integers that
depend on the input is recorded as nodes. Everything else (masks, relative positions,
folded embeddings) is a tensor with elements and becomes a constant of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from ...functions import Constants
from ...intmath import QParams, storage_dtype
from ...intmath.dyadic import Dyadic
from ...intmath.levels import level_table
from ...modes import Integer, Region, bound_region
from ...modes.binding import own_forward
from ...modes.region import PIXELS
from ...operations import NonLinear, Operation
from ...plan import SitePlan
from ...qtensor import QTensor
from ..ir.graph import Port, Program
from . import handlers  # noqa: F401  (of recorded tensors)
from .float_calls import FloatCall
from .recorded import Recorded, outline
from .recorder import Recorder, TensorPool
from .results import nesting, own


class Traced(NamedTuple):
    """A program, and how the module nests its outputs.

    Attributes:
        program: The program.
        rebuild: Maps the real output tensors to the return value of ``forward``.
        floats: Calls of modules that stay float, in order. What these take are the last
            outputs of the program, what they return its last inputs.
    """

    program: Program
    rebuild: Callable[[Sequence[Tensor]], Any]
    floats: tuple[FloatCall, ...] = ()


class Tracing(Integer):
    """Integer mode that records the nodes of a program.

    Args:
        mode: The integer mode of the region, whose constants it shares.
        recorder: Records the nodes.

    Attributes:
        recorder: Records the nodes.
        outputs: The real tensors that have left the region, with their ports.
        handed: Ports of the values that modules kept float have got.
        floats: Calls of these modules, with positions in ``handed``.
    """

    def __init__(self, mode: Integer, recorder: Recorder) -> None:
        super().__init__(mode.plan, mode.constants)
        self.recorder = recorder
        self.outputs: list[tuple[Tensor, Port]] = []
        self.handed: list[Port] = []
        self.floats: list[FloatCall] = []

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        qparams = self.planned_input(name)
        number = self.recorder.input(
            value.shape,
            qparams.qmin,
            qparams.qmax,
            qparams.scale,
            self.plan.pixels if name == PIXELS else None,
        )
        payload = self._recorded(value.shape, qparams, number, value.device)
        return QTensor(payload, qparams, name)

    def enter_given(self, name: str, value: Tensor) -> Tensor:
        """See the base class."""
        x = super().enter_given(name, value)
        return self._recorded_input(x, given=True) if isinstance(x, QTensor) else x

    def enter_mask(self, name: str, value: Tensor) -> QTensor | None:
        """See the base class."""
        x = super().enter_mask(name, value)
        return None if x is None else self._recorded_input(x)

    def _recorded_input(self, x: QTensor, given: bool = False) -> QTensor:
        assert isinstance(x.qparams, QParams)
        low, high, scale = x.qparams.qmin, x.qparams.qmax, x.qparams.scale
        shape = x.payload.shape
        number = self.recorder.input(shape, low, high, scale, None, given)
        x.payload = Recorded.wrap(x.payload, self.recorder, number)
        return x

    def leave(self, value: QTensor) -> Tensor:
        """See the base class."""
        if not isinstance(value.payload, Recorded):
            return super().leave(value)
        assert isinstance(value.qparams, QParams)
        real = outline(value.payload.shape, torch.float32)
        port = Port(value.payload.number, value.qparams.scale)
        self.outputs.append((real, port))
        return real

    def call_float(
        self, path: str, forward: Callable[..., Any], args: tuple, kwargs: dict
    ) -> Any:
        """See the base class."""
        leaves, spec = tree_flatten((args, kwargs))
        given = []
        for position, x in enumerate(leaves):
            if isinstance(x, QTensor) and isinstance(x.payload, Recorded):
                assert isinstance(x.qparams, QParams)
                self.handed.append(Port(x.payload.number, x.qparams.scale))
                leaves[position] = len(self.handed) - 1
                given.append(position)
            elif isinstance(x, QTensor):
                leaves[position] = self.hand_out(x)
        first = len(self.recorder.inputs)
        result = super().call_float(path, forward, args, kwargs)
        returned = list(range(first, len(self.recorder.inputs)))
        self.floats.append(FloatCall(path, forward, leaves, given, spec, returned))
        return result

    def hand_out(self, value: QTensor) -> Tensor:
        """See the base class; zeros for values that depend on the input."""
        if isinstance(value.payload, Recorded):
            return torch.zeros(value.payload.shape, device=value.payload.home)
        return super().hand_out(value)

    def _computed(
        self,
        site: str,
        plan: SitePlan,
        operation: Operation,
        operands: Sequence[QTensor | None],
        constants: Constants,
        attributes: dict[str, Any],
    ) -> Tensor:
        """See the base class."""
        used = operands[: _inputs(operation)]
        if not any(x is not None and isinstance(x.payload, Recorded) for x in used):
            return super()._computed(
                site, plan, operation, operands, constants, attributes
            )
        numbers = [self._operand(x) for x in used if x is not None]
        shapes = [x if x is None else tuple(x.payload.shape) for x in operands]
        shape = operation.shape(shapes, attributes)
        nonlinear = isinstance(operation, NonLinear)
        number = self.recorder.node(
            operation.kind,
            numbers,
            shape,
            (plan.output.qmin, plan.output.qmax),
            self._named(site, constants),
            # A function takes no arguments but its constants.
            {} if nonlinear else _plain(attributes),
            site,
            dict(plan.function or {}) if nonlinear else None,
        )
        home = next(x.payload.device for x in used if x is not None)
        return self._recorded(shape, plan.output, number, home)

    def _requantized(
        self, name: str, payload: Tensor, factor: Dyadic, wanted: QParams
    ) -> Tensor:
        """See the base class."""
        if not isinstance(payload, Recorded):
            return super()._requantized(name, payload, factor, wanted)
        number = self.recorder.node(
            'requantize',
            [payload.number],
            payload.shape,
            (wanted.qmin, wanted.qmax),
            self._named(name, factor._asdict()),
        )
        return self._recorded(payload.shape, wanted, number, payload.home)

    def _recorded(
        self, shape: Sequence[int], qparams: QParams, number: int, home: torch.device
    ) -> Recorded:
        """Integers of a quantizer that are value ``number``, once they have its levels.

        Args:
            shape: Their shape.
            qparams: The quantizer.
            number: Number of the value before it has the levels.
            home: The device that the module's code sees.
        """
        bounds = qparams.qmin, qparams.qmax
        dtype = storage_dtype(*bounds)
        if qparams.levels is not None:
            table = level_table(qparams.levels, *bounds).to(dtype)
            constants: dict[str, int | str] = {
                'table': self.recorder.tensor(table, 'levels'),
                'first': qparams.qmin,
            }
            number = self.recorder.node('to_levels', [number], shape, bounds, constants)
        return Recorded.wrap(outline(shape, dtype), self.recorder, number, home)

    def _operand(self, x: QTensor) -> int | str:
        """The operand of a node: the number of a value, or the name of a constant."""
        if isinstance(x.payload, Recorded):
            return x.payload.number
        return self.recorder.tensor(x.payload, x.source.removeprefix('parameter:'))

    def _named(self, site: str, constants: Mapping[str, Any]) -> dict[str, int | str]:
        """Constants with the names of tensors instead of the tensors."""
        return {
            name: self.recorder.tensor(value, f'{site}.{name}')
            if isinstance(value, Tensor)
            else int(value)
            for name, value in constants.items()
        }


def trace(
    module: nn.Module,
    args: tuple,
    kwargs: dict | None = None,
    pool: TensorPool | None = None,
) -> Traced:
    """The integer program of a region for inputs like these.

    Args:
        module: The region's module, quantized.
        args: Arguments of its ``forward``; the program is for their shapes and for
            everything in them that is no float tensor.
        kwargs: The same.
        pool: Tensors of other programs of this model, which this one shares.

    Raises:
        TypeError: If the module is no quantized region.
        UnsupportedOperationError: If a rule computes what no kind of node stands for.
    """
    region = bound_region(module)
    if region is None or not isinstance(region.mode, Integer):
        raise TypeError(
            f'{type(module).__name__} is no region in integer mode: quantize the model '
            'or load a quantized checkpoint first'
        )
    recorder = Recorder(pool)
    tracing = Tracing(region.mode, recorder)
    with torch.no_grad(), region.lock:
        result, _ = Region(region.name, tracing).run(
            tracing, module, own_forward(module), args, kwargs or {}
        )
    leaves, spec = tree_flatten(result)
    order = {id(real): i for i, (real, _) in enumerate(tracing.outputs)}
    places = [order.get(id(leaf)) for leaf in leaves]

    def rebuild(outputs: Sequence[Tensor]) -> Any:
        new = [
            outputs[place] if place is not None else own(leaf)
            for place, leaf in zip(places, leaves, strict=True)
        ]
        return nest(new)

    nest = nesting(result, spec)
    for i, place in enumerate(places):
        leaves[i] = leaves[i] if place is None else None  # frees the example
    count = len(tracing.outputs)
    ports = [*(p for _, p in tracing.outputs), *tracing.handed]
    for call in tracing.floats:
        for position in call.given:
            call.leaves[position] += count
    return Traced(recorder.finish(region.name, ports), rebuild, tuple(tracing.floats))


def _inputs(operation: Operation) -> int | None:
    """How many operands a node takes; None: all. Constants stand for the others."""
    if isinstance(operation, NonLinear):
        return 1  # gamma and beta have become constants
    if operation.kind == 'embedding':
        return 1  # so has the table
    return 2 if operation.kind in ('linear', 'conv2d') else None  # so has a bias


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments in types that a file can hold."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in attributes.items()
    }
