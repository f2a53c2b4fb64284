"""Passes of the whole model, in integers or in floats, up to a part of a region."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from ...modes import bound_region
from ...plan import RegionPlan
from ..backward import Differentiating, Saved
from ..batches import Forward
from ..evaluating import evaluating


class _Reached(Exception):
    """Ends a pass: nothing of interest follows."""


class NotReachedError(RuntimeError):
    """A pass did not call a part."""


class FloatModel:
    """The float self of an integer model: copies of its regions, to stand in it.

    Args:
        model: The model.
        twins: Bound float modules by region, see
            :func:`~iptq_mm.calibration.twins.float_twins`.
        plans: By region.
        saved: Keeps what passes backward need.
    """

    def __init__(
        self,
        model: nn.Module,
        twins: Mapping[str, nn.Module],
        plans: Mapping[str, RegionPlan],
        saved: Saved | None = None,
    ) -> None:
        self.twins = twins
        self._model, self._plans, self._saved = model, plans, saved

    def mode(self, region: str, draws: int = 0) -> Differentiating:
        """A float mode for a region.

        Args:
            region: Its name.
            draws: See :class:`~iptq_mm.calibration.backward.Differentiating`.
        """
        mode = Differentiating(draws, self._saved)
        mode.channel_shifts = self._plans[region].channel_shifts
        return mode

    @contextmanager
    def instead(self, draws: int = 0, but: str | None = None) -> Iterator[None]:
        """The model is float within the block; its integer regions are put aside.

        Args:
            draws: See :meth:`mode`.
            but: A region that stays integer.
        """
        before = {}
        try:
            for name, twin in self.twins.items():
                if name == but:
                    continue
                region = bound_region(twin)
                assert region is not None
                region.mode = self.mode(name, draws)
                before[name] = _placed(self._model, name, twin)
            yield
        finally:
            for name, module in before.items():
                _placed(self._model, name, module)


def _placed(model: nn.Module, path: str, module: nn.Module) -> nn.Module:
    """Put a module into a model; returns the one that was there."""
    parent, _, key = path.rpartition('.')
    modules = model.get_submodule(parent)._modules
    old, modules[key] = modules[key], module
    assert old is not None
    return old


def arguments_of(
    part: nn.Module, model: nn.Module, forward: Forward, batches: Iterable[Any]
) -> Iterator[tuple[tuple, dict[str, Any]]]:
    """The arguments of a part in each batch; a pass ends where it is called.

    Args:
        part: A sub-module of a region that stands in the model.
        model: The model.
        forward: Runs a batch.
        batches: The batches.

    Raises:
        NotReachedError: If a batch does not call it.
    """
    found: list[tuple[tuple, dict[str, Any]]] = []

    def enter(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        found.append((args, kwargs))
        raise _Reached

    for batch in batches:
        handle = part.register_forward_pre_hook(enter, with_kwargs=True)
        try:
            with evaluating(model), contextlib.suppress(_Reached):
                forward(batch)
        finally:
            handle.remove()
        if not found:
            raise NotReachedError('a batch does not call a part that it should call')
        yield found.pop()
