"""The calls of regions on held-out images, and how far off a region is on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from mmengine import dist
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ....modes import Mode, regions_in, running
from ....modes.base import FloatMode
from ....record import RegionRecord
from ...batches import Forward, run_batches
from ...evaluating import evaluating

#: Arguments of one call.
Arguments = tuple[tuple, dict[str, Any]]
#: Number of images of one call, and its outputs.
Outputs = tuple[int, list[Tensor]]


def calls_of(
    model: nn.Module,
    records: dict[str, RegionRecord],
    forward: Forward,
    batches: Iterable,
) -> dict[str, list[Arguments]]:
    """What each region of the float model is called with, by region.

    Args:
        model: The float model.
        records: By region.
        forward: Runs a batch.
        batches: Held-out batches of this rank.
    """
    found: dict[str, list[Arguments]] = {name: [] for name in records}
    handles = []
    for name, calls in found.items():

        def enter(_: Any, args: tuple, kwargs: dict, calls: list = calls) -> None:
            # What runs later may change a tensor in place.
            calls.append(tree_map_only(Tensor, torch.clone, (args, kwargs)))

        module = model.get_submodule(name)
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
    try:
        run_batches(model, dict(_float_modes(records)), forward, batches)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _float_modes(records: dict[str, RegionRecord]) -> Iterable[tuple[str, Mode]]:
    for name, record in records.items():
        mode = FloatMode()
        mode.channel_shifts = record.channel_shifts
        yield name, mode


@dataclass
class HeldOut:
    """The calls of one region, and what the float region returns.

    Attributes:
        model: The float model.
        region: Name of the region.
        calls: Its calls on this rank.
    """

    model: nn.Module
    region: str
    calls: list[Arguments]

    def float_outputs(self, record: RegionRecord) -> list[Outputs]:
        """The outputs of each call in floats."""
        ((_, mode),) = _float_modes({self.region: record})
        return self._outputs(mode)

    def errors(self, mode: Mode, wanted: list[Outputs]) -> Tensor:
        """The relative squared error of each output of each image.

        Args:
            mode: The mode in which the region runs.
            wanted: From :meth:`float_outputs`.

        Returns:
            Float64, of all images of all ranks, in the same order each time. Outputs
            that are 0 in floats are left out.
        """
        found = [torch.zeros(0, dtype=torch.float64)]
        for real, made in zip(wanted, self._outputs(mode), strict=True):
            for x, y in zip(real[1], made[1], strict=True):
                found.append(_relative(x, y, real[0]).cpu())
        return torch.cat(dist.all_gather_object(torch.cat(found)))

    @torch.no_grad()
    def _outputs(self, mode: Mode) -> list[Outputs]:
        each: list[Outputs] = []
        module = self.model.get_submodule(self.region)
        with evaluating(self.model), running(self.model, {self.region: mode}):
            bound = regions_in(self.model)[self.region]
            bound.on_output = lambda _, outputs: each.append(
                (mode.images, [x.detach() for x in outputs])
            )
            for args, kwargs in self.calls:
                # The region may change what it gets.
                args, kwargs = tree_map_only(Tensor, torch.clone, (args, kwargs))
                module(*args, **kwargs)
        return each


def _relative(real: Tensor, made: Tensor, images: int) -> Tensor:
    """Squared error over squared norm, by image; one if rows belong to no image.

    An output of another shape, or one that is not finite, is lost: infinity.
    """
    rows = images if real.dim() and len(real) and len(real) % images == 0 else 1
    x = real.double().reshape(rows, -1)
    power = x.square().sum(1)
    if made.shape != real.shape:
        return torch.full_like(power[power > 0], torch.inf)
    error = (made.double().reshape(rows, -1) - x).square().sum(1)
    return (error / power)[power > 0].nan_to_num(torch.inf)
