"""Calibration batches through the model, its regions in a mode of the phase."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ..modes import Mode, regions_in, running
from .backward import Differentiating
from .calls import Calls, Usual
from .evaluating import evaluating

#: Runs the model on one batch; called without gradients, in eval mode.
Forward = Callable[[Any], Any]


#: What passes have shown, for the phases that follow: whole passes of a detector cost
#: many times its regions. By what runs a batch, which belongs to one run; then by the
#: regions that have to be done.
_USUAL: WeakKeyDictionary[Forward, dict[frozenset[str], Usual]] = WeakKeyDictionary()


class _Done(Exception):
    """Ends a forward pass whose regions have all run: nothing of interest follows."""


def run_batches(
    model: nn.Module,
    modes: Mapping[str, Mode],
    forward: Forward,
    batches: Iterable,
    seen: Callable[[str, list[Tensor]], None] | None = None,
) -> None:
    """Run the model on batches; end each pass when the last region is done.

    Args:
        model: The float model.
        modes: By region, the mode that it runs in.
        forward: Runs a batch.
        batches: The batches. See :class:`~.calls.Calls` for when a pass may end.
        seen: See :func:`run_passes`.
    """
    run_passes(model, modes, lambda: [modes], forward, batches, seen=seen)


def run_passes(
    model: nn.Module,
    regions: Collection[str],
    passes: Callable[[], Iterable[Mapping[str, Mode]]],
    forward: Forward,
    batches: Iterable,
    until: Collection[str] | None = None,
    seen: Callable[[str, list[Tensor]], None] | None = None,
) -> None:
    """Run the model on each batch several times, its regions in other modes each time.

    Args:
        model: The float model.
        regions: Names of its regions.
        passes: Called for each batch; gives the modes of one pass after the other, by
            region. The next one is asked for when a pass has ended.
        forward: Runs a batch.
        batches: The batches.
        until: A pass may end when these regions are done; None: all.
        seen: Called with the name and the float outputs of each call of a region.
    """
    wanted = frozenset(regions if until is None else until)
    calls = Calls(wanted, _USUAL.setdefault(forward, {}).setdefault(wanted, {}))
    current: Mapping[str, Mode] = {}

    def count(name: str, outputs: list[Tensor]) -> None:
        mode = current[name]
        if isinstance(mode, Differentiating):
            mode.finish()
        if seen is not None:
            seen(name, outputs)
        if calls.add(name, mode.images):
            raise _Done

    with evaluating(model), running(model, dict.fromkeys(regions)):
        bound = regions_in(model)
        for region in bound.values():
            region.on_output = count
        for batch in batches:
            for current in passes():  # noqa: B007  (count reads it)
                for name, mode in current.items():
                    bound[name].mode = mode
                calls.start()
                try:
                    with contextlib.suppress(_Done):
                        forward(batch)
                finally:
                    for mode in current.values():
                        if isinstance(mode, Differentiating):
                            mode.abandon()
                calls.finish()
