"""Kept calls of regions, to verify that new parameters compute the same.

A whole forward pass would not do: the number of objects that a detector finds may
depend on the last bit of a float, and with it the inputs of its heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from torch import Tensor, nn

from ...modes import running
from ...modes.base import FloatMode
from ...modes.region import is_real
from ...utils.trees import tree_leaves
from ..batches import Forward, run_batches
from ..evaluating import evaluating

#: By region and site, powers of two of the channels of its first operand.
Powers = Mapping[str, Mapping[str, list[int]]]


class Call(NamedTuple):
    """A call of a region: its name, and the arguments."""

    region: str
    args: tuple
    kwargs: dict[str, Any]


def kept_calls(
    model: nn.Module, regions: Sequence[str], forward: Forward, batches: Iterable
) -> list[Call]:
    """The calls of regions in a forward pass of the float model.

    Args:
        model: The float model.
        regions: Their names.
        forward: Runs a batch.
        batches: Calibration batches; the first one is run.
    """
    calls: list[Call] = []
    handles = [
        model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, kwargs, name=name: calls.append(Call(name, args, kwargs)),
            with_kwargs=True,
        )
        for name in regions
    ]
    modes = {name: FloatMode() for name in regions}
    try:
        run_batches(model, modes, forward, islice(iter(batches), 1))
    finally:
        for handle in handles:
            handle.remove()
    return calls


def outputs_of(
    model: nn.Module, calls: Sequence[Call], powers: Powers | None = None
) -> list[Tensor]:
    """The float outputs of regions in these calls.

    Args:
        model: The float model, in eval mode or not.
        calls: The calls.
        powers: See :attr:`iptq_mm.modes.base.Mode.channel_shifts`, by region.
    """
    modes = {call.region: FloatMode() for call in calls}
    for name, mode in modes.items():
        mode.channel_shifts = (powers or {}).get(name, {})
    found: list[Tensor] = []
    with evaluating(model), running(model, modes):
        for call in calls:
            module = model.get_submodule(call.region)
            leaves = tree_leaves(module(*call.args, **call.kwargs))
            found.extend(x for x in leaves if is_real(x))
    return found


def change(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """The largest relative difference of two lists of outputs."""
    most = 0.0
    for expected, value in zip(before, after, strict=True):
        error = float((value - expected).double().norm())
        size = float(expected.double().norm())
        # Where there is nothing, nothing may come; NaN is a difference, too.
        relative = 0.0 if error == 0 else error / size if size else float('inf')
        most = max(most, relative) if relative == relative else float('inf')
    return most
