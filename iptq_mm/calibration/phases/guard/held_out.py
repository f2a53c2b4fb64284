"""The calls of regions on held-out images, and how far off a region is on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine import dist
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ....modes import Mode, regions_in, running
from ....modes.base import FloatMode
from ....record import RegionRecord
from ...batches import Forward, run_batches
from ...config import QuantizationConfig
from ...evaluating import evaluating
from ..observe import empty_records
from ..observe_mode import Observing

#: Arguments of one call.
Arguments = tuple[tuple, dict[str, Any]]


@dataclass
class Call:
    """A call of a region by the float model.

    Attributes:
        arguments: Of the call.
        images: How many there were.
        outputs: What the float region returned.
    """

    arguments: Arguments
    images: int = 1
    outputs: list[Tensor] = field(default_factory=list)


@dataclass
class HeldOut:
    """The calls of one region, and what the float region returns.

    Attributes:
        model: The float model.
        region: Name of the region.
        calls: Its calls on this rank.
        first: How many of them are on the images that are looked at first.
    """

    model: nn.Module
    region: str
    calls: list[Call] = field(default_factory=list)
    first: int = 0

    def errors(self, mode: Mode, calls: slice = slice(None)) -> Tensor:
        """The relative squared error of each output of each image in a mode.

        Args:
            mode: The mode in which the region runs.
            calls: Of these calls.

        Returns:
            See :meth:`gathered`.
        """
        with self.bound() as run:
            return self.gathered(run(call, mode) for call in self.calls[calls])

    @staticmethod
    def gathered(errors: Iterable[Tensor]) -> Tensor:
        """The errors of several calls, of all ranks.

        Returns:
            Float64, in the same order each time. Outputs that are 0 in floats are left
            out.
        """
        found = torch.cat([torch.zeros(0, dtype=torch.float64), *errors])
        return torch.cat(dist.all_gather_object(found))

    @contextmanager
    def bound(self) -> Iterator[Callable[[Call, Mode], Tensor]]:
        """Gives a function that runs a call in a mode and returns its errors."""
        module, made = self.model.get_submodule(self.region), list[list[Tensor]]()
        with (
            torch.no_grad(),
            evaluating(self.model),
            running(self.model, {self.region: None}),
        ):
            region = regions_in(self.model)[self.region]
            region.on_output = lambda _, outputs: made.append(outputs)

            def run(call: Call, mode: Mode) -> Tensor:
                region.mode = mode
                # The region may change what it gets.
                args, kwargs = tree_map_only(Tensor, torch.clone, call.arguments)
                module(*args, **kwargs)
                pairs = zip(call.outputs, made.pop(), strict=True)
                each = [_relative(x, y.detach(), call.images).cpu() for x, y in pairs]
                return torch.cat([torch.zeros(0, dtype=torch.float64), *each])

            yield run


def hold(
    model: nn.Module,
    modes: Mapping[str, FloatMode],
    forward: Forward,
    batches: Iterable,
    first: int | None = None,
) -> dict[str, HeldOut]:
    """The calls of each region of the float model, in one pass, by region.

    Args:
        model: The float model.
        modes: By region, the mode that it runs in.
        forward: Runs a batch.
        batches: Held-out batches of this rank.
        first: How many of them, in the beginning, are looked at first; None: all.
    """
    found = {name: HeldOut(model, name) for name in modes}
    handles = []

    def leave(name: str, outputs: list[Tensor]) -> None:
        call = found[name].calls[-1]
        call.images = modes[name].images
        call.outputs = [x.detach() for x in outputs]

    for name, held in found.items():

        def enter(_: Any, args: tuple, kwargs: dict, held: HeldOut = held) -> None:
            # What runs later may change a tensor in place.
            arguments = tree_map_only(Tensor, torch.clone, (args, kwargs))
            held.calls.append(Call(arguments))

        module = model.get_submodule(name)
        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))

    def counted() -> Iterator[Any]:
        for number, batch in enumerate(batches):
            yield batch
            if first is None or number < first:
                for held in found.values():
                    held.first = len(held.calls)

    try:
        run_batches(model, modes, forward, counted(), leave)
    finally:
        for handle in handles:
            handle.remove()
    return found


def observe_held_out(
    model: nn.Module,
    config: QuantizationConfig,
    forward: Forward,
    batches: Iterable,
    first: int | None = None,
    powers: Mapping[str, dict[str, list[int]]] | None = None,
) -> tuple[dict[str, RegionRecord], dict[str, HeldOut]]:
    """Records of held-out images, and the calls on them: one pass.

    Args:
        model: The float model.
        config: What to quantize.
        forward: Runs a batch.
        batches: See :func:`hold`.
        first: See there.
        powers: See :func:`~iptq_mm.calibration.phases.observe.observe`.
    """
    records = empty_records(model, config, powers)
    modes = {name: Observing(record) for name, record in records.items()}
    return records, hold(model, modes, forward, batches, first)


def calls_of(
    model: nn.Module,
    records: Mapping[str, RegionRecord],
    forward: Forward,
    batches: Iterable,
    first: int | None = None,
) -> dict[str, HeldOut]:
    """The calls of each region on batches that are in the records already.

    Args:
        model: The float model.
        records: By region.
        forward: Runs a batch.
        batches: Batches of this rank.
        first: See :func:`hold`.
    """
    modes = {name: FloatMode() for name in records}
    for name, mode in modes.items():
        mode.channel_shifts = records[name].channel_shifts
    return hold(model, modes, forward, batches, first)


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
