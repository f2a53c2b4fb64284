"""Calibration batches through the float model, its regions in a mode of the phase."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from ..modes import Mode, regions_in, running
from .calls import Calls
from .evaluating import evaluating
from .gradients import Differentiating

#: Runs the model on one batch; called without gradients, in eval mode.
Forward = Callable[[Any], Any]


class _Done(Exception):
    """Ends a forward pass whose regions have all run: nothing of interest follows."""


def run_batches(
    model: nn.Module, modes: Mapping[str, Mode], forward: Forward, batches: Iterable
) -> None:
    """Run the model on batches; end each pass when the last region is done.

    Args:
        model: The float model.
        modes: By region, the mode that it runs in.
        forward: Runs a batch.
        batches: The batches. See :class:`~.calls.Calls` for when a pass may end.
    """
    calls = Calls(modes)

    def count(name: str, outputs: Any) -> None:
        mode = modes[name]
        if isinstance(mode, Differentiating):
            mode.finish()
        if calls.add(name, mode.images):
            raise _Done

    with evaluating(model), running(model, modes):
        for region in regions_in(model).values():
            region.on_output = count
        for batch in batches:
            calls.start()
            with contextlib.suppress(_Done):
                forward(batch)
            calls.finish()
