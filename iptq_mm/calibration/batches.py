"""The phases that look at activations: observe, analyse, assign."""

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
    """Every region has run: the rest of the model has nothing to show."""


def run_batches(
    model: nn.Module, modes: Mapping[str, Mode], forward: Forward, batches: Iterable
) -> None:
    """Run batches; stop each when the last region is done, see :class:`Calls`."""
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
