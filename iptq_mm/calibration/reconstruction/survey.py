"""What the float model shows of its parts: their calls, and what their outputs matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...modes import bound_region
from ...qtensor import QTensor
from ..batches import Forward
from ..evaluating import evaluating
from ..gradients import Differentiating
from .calls import Form, qtensors
from .parts import parts_of


@dataclass
class Importance:
    """How much an error of an output of a part matters to the outputs of the region.

    An element counts by the product of two means of squared gradients: that of its row
    (all but the last dimension) and that of its channel.

    Attributes:
        rows: By batch, the shape of the output without its last dimension.
        channels: Sum over all batches, shape (channels,).
    """

    rows: list[Tensor] = field(default_factory=list)
    channels: Tensor | None = None

    def add(self, squared: Tensor) -> None:
        """Add the squared gradients of a batch."""
        self.rows.append(squared.mean(-1))
        summed = squared.flatten(0, -2).sum(0)
        self.channels = summed if self.channels is None else self.channels + summed


@dataclass
class Part:
    """A part of a region, and its calls.

    Attributes:
        region: Name of the region.
        path: Path of the part in the region.
        forms: Its arguments, by batch.
        links: For each QTensor among its arguments, the position among the QTensors
            that the part before returned; None if one of them came from elsewhere.
        importance: Of each QTensor that it returns; empty if nothing was measured.
    """

    region: str
    path: str
    forms: list[Form] = field(default_factory=list)
    links: list[int] | None = None
    importance: list[Importance] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Path of the part in the model."""
        return f'{self.region}.{self.path}'


def called_parts(
    twins: Mapping[str, nn.Module],
    forward: Forward,
    batch: Any,
    without: Mapping[str, Container[str]],
) -> list[Part]:
    """The parts of all regions, in the order in which a batch calls them.

    Args:
        twins: The float modules of the regions, which stand in the model.
        forward: Runs a batch.
        batch: The batch.
        without: By region, parameters that nothing may change.
    """
    calls: dict[str, Counter[str]] = {name: Counter() for name in twins}
    order: dict[tuple[str, str], int] = {}

    def count(region: str, path: str, *_: Any) -> None:
        calls[region][path] += 1
        order.setdefault((region, path), len(order))

    with ExitStack() as hooks:
        for name, twin in twins.items():
            for path, child in twin.named_modules():
                if path:
                    hook = partial(count, name, path)
                    handle = child.register_forward_pre_hook(hook)
                    hooks.callback(handle.remove)
        forward(batch)
    found = [
        (name, path)
        for name, twin in twins.items()
        for path in parts_of(twin, calls[name], without.get(name, ()))
    ]
    return [Part(*key) for key in sorted(found, key=order.__getitem__)]


class Survey:
    """Watches the calls of parts in passes of the float model.

    Args:
        parts: In the order of their calls; gets what is found.
        twins: The float modules of the regions, which stand in the model.
    """

    def __init__(self, parts: list[Part], twins: Mapping[str, nn.Module]) -> None:
        self.parts, self._twins = parts, twins
        self._outputs: list[tuple[QTensor, Tensor]] = []
        self._calls: Counter[str] = Counter()
        self._batches = 0

    def run(
        self, model: nn.Module, forward: Forward, batches: Iterable[Any]
    ) -> None:
        """Run batches.

        Raises:
            RuntimeError: If a part is not called once in every batch.
        """
        with ExitStack() as undo:
            for before, part in zip([None, *self.parts], self.parts, strict=False):
                module = self._twins[part.region].get_submodule(part.path)
                same = before is not None and before.region == part.region
                enter = module.register_forward_pre_hook(
                    partial(self._enter, part, same), with_kwargs=True
                )
                leave = module.register_forward_hook(partial(self._leave, part))
                undo.callback(enter.remove)
                undo.callback(leave.remove)
            for twin in self._twins.values():
                region = bound_region(twin)
                assert region is not None
                region.on_output = partial(self._finish, region.mode)
                undo.callback(setattr, region, 'on_output', None)
            for batch in batches:
                with evaluating(model):
                    forward(batch)
                self._batches += 1
                self._outputs = []
        self.parts[:] = [p for p in self.parts if len(p.forms) == self._batches]

    def _enter(
        self, part: Part, same: bool, _: nn.Module, args: tuple, kwargs: dict
    ) -> None:
        arguments = (args, kwargs)
        part.forms.append(Form.of(arguments))
        links = [self._position(x) for x in qtensors(arguments)] if same else [None]
        if len(part.forms) == 1:
            part.links = links  # type: ignore[assignment]
        if None in links or links != part.links:
            part.links = None

    def _position(self, x: QTensor) -> int | None:
        """Position among the outputs of the part that was called before."""
        for position, (output, payload) in enumerate(self._outputs):
            # Code between the parts may have changed it in place.
            if x is output and x.payload is payload:
                return position
        return None

    def _leave(self, part: Part, _: nn.Module, args: tuple, result: Any) -> None:
        outputs = qtensors(result)
        self._outputs = [(x, x.payload) for x in outputs]
        mode = bound_region(self._twins[part.region]).mode  # type: ignore[union-attr]
        if not (isinstance(mode, Differentiating) and mode.draws):
            return
        if not part.importance:
            part.importance = [Importance() for _ in outputs]
        for x, importance in zip(outputs, part.importance, strict=True):
            mode.watch(x.payload, _squared(importance.add))

    def _finish(self, mode: Any, name: str, outputs: list[Tensor]) -> None:
        if isinstance(mode, Differentiating):
            mode.finish()


def _squared(use: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
    def squared(gradient: Tensor) -> None:
        with torch.no_grad():
            use(gradient.detach().square())

    return squared
