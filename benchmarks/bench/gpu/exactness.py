"""Whether regions give the same integers on a device as on the CPU."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from iptq_mm.modes import regions_in
from iptq_mm.program import use_backend
from iptq_mm.utils.trees import tree_leaves


@dataclass
class Call:
    """One call of a region in a prediction on the CPU.

    Attributes:
        region: Name of the region.
        arguments: Positional arguments, on the CPU.
        options: Keyword arguments, on the CPU.
        outputs: The tensors that it returned.
    """

    region: str
    arguments: tuple
    options: dict[str, Any]
    outputs: list[Tensor]


@torch.no_grad()
def recorded_calls(model: Any, batch: dict[str, Any]) -> list[Call]:
    """The calls of all regions while a quantized model predicts a batch.

    The heads of a detector are called for boxes that float code chooses. Where a GPU
    computes these floats, other boxes come; so regions are compared call by call, on
    the inputs that they had on the CPU.
    """
    calls: list[Call] = []
    handles = []
    for name in regions_in(model):

        def note(
            module: nn.Module, args: tuple, kwargs: dict, output: Any, name: str = name
        ) -> None:
            given = copy.deepcopy((args, kwargs))
            made = [t.clone() for t in _tensors(output)]
            calls.append(Call(name, *given, made))

        module = model.get_submodule(name)
        handles.append(module.register_forward_hook(note, with_kwargs=True))
    try:
        model.test_step(copy.deepcopy(batch))
    finally:
        for handle in handles:
            handle.remove()
    return calls


@dataclass
class Exactness:
    """A region on a device, beside itself on the CPU.

    Attributes:
        region: Its name.
        calls: How often it was called.
        values: How many values it returned.
        different: How many of them differ.
    """

    region: str
    calls: int = 0
    values: int = 0
    different: int = 0


@torch.no_grad()
def compared(
    model: nn.Module, calls: list[Call], device: torch.device, backend: str | None
) -> Iterator[Exactness]:
    """Run recorded calls on a device, and count the values that differ.

    Args:
        model: The quantized model, on the device.
        calls: Of the same model on the CPU.
        device: The device.
        backend: What runs the regions there; None: the eager integer mode.

    Yields:
        The result of each region.
    """
    use_backend(model, backend)
    for name in dict.fromkeys(call.region for call in calls):
        found = Exactness(name)
        for call in (c for c in calls if c.region == name):
            args, kwargs = tree_map_only(
                Tensor, lambda t: t.to(device), (call.arguments, call.options)
            )
            made = _tensors(model.get_submodule(name)(*args, **kwargs))
            found.calls += 1
            found.values += sum(t.numel() for t in call.outputs)
            if len(made) != len(call.outputs):
                found.different += sum(t.numel() for t in call.outputs)
                continue
            for expected, other in zip(call.outputs, made, strict=True):
                same = expected.shape == other.shape
                found.different += (
                    int((expected != other.cpu()).sum()) if same else expected.numel()
                )
        yield found


def _tensors(output: Any) -> list[Tensor]:
    return [t for t in tree_leaves(output) if isinstance(t, Tensor)]
