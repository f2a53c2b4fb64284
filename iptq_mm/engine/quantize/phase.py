"""A phase of a quantization, and the run whose phases hand on their results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmengine import dist
from torch import Tensor, nn

from ...calibration import ConfigError, QuantizationConfig
from ...calibration.batches import Forward
from ...calibration.phases.equalize import Powers
from ...calibration.phases.guard.held_out import HeldOut
from ...calibration.phases.measure import RegionInputs
from ...calibration.phases.reconstruct import Reconstructed
from ...calibration.region_check.check import RegionChecker
from ...modes.attributes import Attributes
from ...plan import RegionPlan
from ...utils.heap import give_back
from .outlook import Outlook
from .progress import (
    ByImage,
    Halves,
    Picked,
    evenly_spread,
    progress_of,
    some_batches,
    spread_images,
)
from .state import State


@dataclass
class Run:
    """A quantization in progress: its inputs, and the results of the phases so far.

    Attributes:
        model: The float model, which the last phase makes integer.
        config: What to quantize.
        batches: Calibration batches of this rank.
        forward: Runs the model on a batch.
        state: Records and ranges, and the time of the phases that found them.
        powers: By region, powers of two that equalization left to sites; None before.
        plans: By region, from the assignment on.
        inputs: By region, what the weights get as inputs; None where it was not
            measured.
        twins: By region, its float self, from the phase freeze on.
        checker: Compares the regions with floats, from the phase freeze on.
        reconstructed: What the reconstruction did; None: there was none.
        checks: By region, how the integers compare with floats.
        seconds: Time of the phases that are not in ``state``.
        real: By region, real values of the parameters before they were rounded; only
            if ``keep_real``.
        keep_real: Whether to keep them.
        seed: Of what is random in the reconstruction.
        outlook: Of all that the run will do; None: not known.
        held: By region, its calls on held-out images, from the phase guard to the next.
        remembered: What modules of the model kept before calibration.
    """

    model: nn.Module
    config: QuantizationConfig
    batches: Iterable[Any]
    forward: Forward
    state: State
    powers: Powers | None = None
    plans: dict[str, RegionPlan] = field(default_factory=dict)
    inputs: RegionInputs | None = None
    twins: dict[str, nn.Module] = field(default_factory=dict)
    checker: RegionChecker | None = None
    reconstructed: Reconstructed | None = None
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    real: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    keep_real: bool = False
    seed: int = 0
    outlook: Outlook | None = None
    held: dict[str, HeldOut] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note what the modules keep."""
        self.remembered = Attributes(self.model.modules(), numbers=True)

    def progress(
        self,
        phase: str,
        images: int | None = None,
        batches: Iterable[Any] | None = None,
        unit: str = 'batch',
    ) -> Iterator[Any]:
        """The batches of a phase, with progress in the log.

        Args:
            phase: Its name.
            images: About how many images it looks at; None: all.
            batches: Of these; None: of all.
            unit: What one of them is called, if it is no batch.
        """
        batches = self.batches if batches is None else batches
        total = len(batches) if isinstance(batches, Sized) else None
        if images is None:
            return progress_of(batches, phase, total, unit, self.outlook)
        return some_batches(batches, phase, total, images, self.config, self.outlook)

    def images(self) -> int:
        """How many images calibrate, about, on all ranks together."""
        batches, settings = self.batches, self.config.calibration
        if isinstance(batches, ByImage):
            return min(settings.num_images, len(batches.positions))
        if isinstance(batches, Sized):
            total = sum(dist.all_gather_object(len(batches)))
            return min(settings.num_images, total * settings.batch_size)
        return settings.num_images

    def first_images(self) -> Iterable[Any]:
        """The first image as a batch, and then all batches."""
        if isinstance(self.batches, ByImage):
            return Halves(self.batches.first(), self.batches)
        return self.batches

    def held_out(self) -> Halves:
        """The batches that choose no range, but judge them; none without a guard.

        Every other image is in the first half.
        """
        return self._halves(self._held_out())

    def halves(self, images: int) -> Halves:
        """Some images, every other one in the first half; none if there is no telling.

        Args:
            images: About how many.
        """
        batches = self.batches
        some: list[int] = []
        if isinstance(batches, ByImage):
            some = spread_images(batches.positions, images)
        return self._halves(some)

    def _halves(self, chosen: list[int]) -> Halves:
        batches = self.batches
        return Halves(
            *(
                batches.only(half)
                if isinstance(batches, ByImage)
                else Picked(batches, half)
                for half in (chosen[::2], chosen[1::2])
            )
        )

    def not_held_out(self) -> Iterable[Any]:
        """The batches that ranges are chosen on."""
        held = set(self._held_out())
        if not held:
            return self.batches
        if isinstance(self.batches, ByImage):
            every = self.batches.positions
            return self.batches.only([i for i in every if i not in held])
        assert isinstance(self.batches, Sized)
        rest = [i for i in range(len(self.batches)) if i not in held]
        return Picked(self.batches, rest)

    def _held_out(self) -> list[int]:
        """Positions of images, or numbers of batches."""
        images = self.config.activation.guard_images
        if not images:
            return []
        if isinstance(self.batches, ByImage):
            return spread_images(self.batches.positions, images)
        if not isinstance(self.batches, Sized):
            raise ConfigError(
                'quantization.activation.guard_images needs batches whose number is '
                'known: give a list or a DataLoader, or use guard_images=0'
            )
        held = evenly_spread(len(self.batches), images, self.config)
        if dist.get_world_size() == 1 and len(held) == len(self.batches):
            raise ConfigError(
                f'quantization.activation.guard_images={images} leaves no batch to '
                'choose ranges on: use smaller batches, more images, or guard_images=0'
            )
        return held


class Phase(NamedTuple):
    """A phase of a quantization.

    Attributes:
        name: In the log, in the state file and among the times of a run.
        run: Does the work: reads what earlier phases left in the run, and adds to it.
        wanted: Whether a config asks for it.
        kept: Whether its findings are kept in the state file. A resumed run leaves out
            the phases whose findings are there.
        repeated: Whether a resumed run does it all the same, because it also changes
            the model in memory.
    """

    name: str
    run: Callable[[Run], None]
    wanted: Callable[[QuantizationConfig], Any] = lambda config: True
    kept: bool = False
    repeated: bool = False

    def is_due(self, run: Run) -> bool:
        """Whether it is wanted, and not done yet."""
        finished = self.name in run.state.seconds
        return bool(self.wanted(run.config)) and (self.repeated or not finished)

    def do(self, run: Run) -> None:
        """Do what is wanted and not done yet; note the time, and keep the findings."""
        if not self.is_due(run):
            return
        finished = self.name in run.state.seconds
        began = time.perf_counter()
        self.run(run)
        give_back()
        seconds = time.perf_counter() - began
        if run.outlook is not None:
            run.outlook.finish(self.name, seconds)
        if not self.kept:
            run.seconds[self.name] = seconds
        elif not finished:
            run.state.finish(self.name, seconds)
