"""What a pass of the float model shows of the parts: their calls, and what matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from mmengine import dist
from torch import Tensor, nn

from ...modes import bound_region
from ...qtensor import QTensor
from ..backward import Differentiating
from ..batches import Forward
from ..evaluating import evaluating
from .calls import Form, qtensors
from .importance import Importance, Metric, outstanding
from .parts import parts_of
from .passes import FloatModel


@dataclass(eq=False)
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

    def metrics(self) -> list[Metric | None]:
        """What an error of each output costs; empty if nothing was measured."""
        return [importance.metric() for importance in self.importance]


def survey(
    model: nn.Module,
    floats: FloatModel,
    forward: Forward,
    batches: Iterable[Any],
    guided: bool,
    without: Mapping[str, Container[str]],
) -> list[Part]:
    """The parts of all regions, in the order of their calls, the same on all ranks.

    Args:
        model: The model.
        floats: Its float self.
        forward: Runs a batch.
        batches: Calibration batches of this rank.
        guided: Whether to measure what errors of the outputs matter.
        without: By region, parameters that nothing may change.
    """
    twins = floats.twins
    with floats.instead(), evaluating(model):
        parts = _called(twins, forward, next(iter(batches)), without)
    watching = _Watching(parts, twins)
    if guided:
        with floats.instead(draws=1):
            watching.run(model, forward, [next(iter(batches))])
        _begin_again(parts)
    with floats.instead(draws=int(guided)):
        watching.run(model, forward, batches)
    found = _of_all_ranks(parts)
    if guided:
        _reduced(found)
    return found


def _begin_again(parts: Sequence[Part]) -> None:
    """Forget a first batch, except for the positions that stand out in it."""
    marks = {p.name: [outstanding(i.by_position) for i in p.importance] for p in parts}
    marks = dist.all_gather_object(marks)[0]  # all ranks add up the same groups
    for part in parts:
        part.forms.clear()
        part.links = None
        part.importance = [Importance(m) for m in marks.get(part.name, ())]


def _reduced(parts: Sequence[Part]) -> None:
    """Add up the importance of all ranks."""
    if dist.get_world_size() == 1:
        return
    for part in parts:
        of_ranks = dist.all_gather_object(
            [(i.usable, len(i.moments[0]) if i.moments else 0) for i in part.importance]
        )
        if any(o != of_ranks[0] for o in of_ranks):
            part.importance = []
        for importance in part.importance:
            rows = torch.tensor(importance.rows)
            dist.all_reduce(rows)
            importance.rows = rows.tolist()
            for moments in importance.moments:
                dist.all_reduce(moments)


def _called(
    twins: Mapping[str, nn.Module],
    forward: Forward,
    batch: Any,
    without: Mapping[str, Container[str]],
) -> list[Part]:
    """The parts that a batch calls, in the order of the calls."""
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


class _Watching:
    """Watches the calls of parts, and notes in them what it sees.

    Args:
        parts: In the order of their calls.
        twins: The float modules of the regions, which stand in the model.
    """

    def __init__(self, parts: list[Part], twins: Mapping[str, nn.Module]) -> None:
        self._parts, self._twins = parts, twins
        #: What the last part returned, with the payloads that it had then.
        self._returned: list[tuple[QTensor, Tensor]] = []
        self._last: Part | None = None

    def run(self, model: nn.Module, forward: Forward, batches: Iterable[Any]) -> None:
        """Run batches."""
        count = 0
        with ExitStack() as undo:
            for part in self._parts:
                module = self._twins[part.region].get_submodule(part.path)
                enter = module.register_forward_pre_hook(
                    partial(self._enter, part), with_kwargs=True
                )
                leave = module.register_forward_hook(partial(self._leave, part))
                undo.callback(enter.remove)
                undo.callback(leave.remove)
            for twin in self._twins.values():
                region = bound_region(twin)
                assert region is not None
                region.on_output = partial(_finish, region.mode)
                undo.callback(setattr, region, 'on_output', None)
            for batch in batches:
                self._last = None
                with evaluating(model):
                    forward(batch)
                count += 1
            self._returned = []
        for part in self._parts:
            if len(part.forms) != count:  # not called once in every batch
                part.forms.clear()

    def _enter(self, part: Part, _: nn.Module, args: tuple, kwargs: dict) -> None:
        first = not part.forms
        part.forms.append(Form.of((args, kwargs)))
        links = [self._position(part, x) for x in qtensors((args, kwargs))]
        whole = [i for i in links if i is not None]
        if not whole or len(whole) < len(links) or not (first or whole == part.links):
            part.links = None
        elif first:
            part.links = whole

    def _position(self, part: Part, x: QTensor) -> int | None:
        """Position among what the part before returned."""
        index = self._parts.index(part)
        if self._last is None or index == 0 or self._last is not self._parts[index - 1]:
            return None
        for position, (output, payload) in enumerate(self._returned):
            # Code between the parts may have changed it in place.
            if x is output and x.payload is payload:
                return position
        return None

    def _leave(self, part: Part, _: nn.Module, args: tuple, result: Any) -> None:
        outputs = qtensors(result)
        self._returned = [(x, x.payload) for x in outputs]
        self._last = part
        region = bound_region(self._twins[part.region])
        mode = region.mode if region else None
        if isinstance(mode, Differentiating) and mode.draws:
            if not part.importance:
                part.importance = [Importance() for _ in outputs]
            for x, importance in zip(outputs, part.importance, strict=True):
                mode.watch(x.payload, importance.add)


def _finish(mode: Any, name: str, outputs: list[Tensor]) -> None:
    if isinstance(mode, Differentiating):
        mode.finish()


def _of_all_ranks(parts: list[Part]) -> list[Part]:
    """The parts that every rank has seen, in the order of the first rank.

    A part is linked to the one before if it is so on every rank.
    """
    mine = [(p.name, p.links) for p in parts if p.forms]
    ranks = dist.all_gather_object(mine)
    known = {part.name: part for part in parts}
    order = [name for name, _ in ranks[0] if all(name in dict(r) for r in ranks)]
    places = {part.name: i for i, part in enumerate(parts)}
    found: list[Part] = []
    for name in order:
        part = known[name]
        before = found[-1] if found else None
        follows = before is not None and places[before.name] == places[name] - 1
        if not follows or any(dict(r)[name] != part.links for r in ranks):
            part.links = None
        found.append(part)
    return found
