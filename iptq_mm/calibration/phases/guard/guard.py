"""The phase guard: what chooses ranges is compared with not choosing.

A percentile, or a search, may harm a model that its authors never saw. Here the error
of the regions' outputs is measured, with floats for all but the narrow values, on
images that chose no range. What loses is not used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ....functions import function_name
from ....plan import RegionPlan
from ....record import RegionRecord
from ....utils.decibels import decibels
from ...config import QuantizationConfig
from ...region_order import inputs_from_producers, producers_first
from .held_out import HeldOut
from .rerun import Rerun
from .settings import Choice, Settings

#: Another way has to gain so much: a share of the error, and standard errors of the
#: mean difference by image.
GAIN, DEVIATIONS = 0.03, 2.0


@dataclass
class Guarded:
    """What the guard found in a region.

    Attributes:
        ways: Decibels at the outputs with each way for the whole region.
        kept: Decibels with what was chosen.
        changed: By value, the way that replaces that of the config.
    """

    ways: dict[str, float] = field(default_factory=dict)
    kept: float = 0.0
    changed: dict[str, str] = field(default_factory=dict)


def guard(
    model: nn.Module,
    config: QuantizationConfig,
    records: dict[str, RegionRecord],
    held: Mapping[str, HeldOut],
) -> dict[str, Guarded]:
    """Replace ranges in the records that lose on held-out images.

    First each way to choose ranges serves a whole region; then the winner is compared
    with the others block by block, and for the values that the ways treat most
    differently one by one.

    Args:
        model: The float model.
        config: Its ``activation`` names the ways.
        records: From the phases that observe and search; get what was chosen.
        held: By region, its calls on images that these phases have not seen.
    """
    plans: dict[str, RegionPlan] = {}
    done = {}
    for name, record in producers_first(records):
        settings = Settings(record, config, inputs_from_producers(record, plans))
        groups = settings.groups(model.get_submodule(name))
        with held[name].bound() as run:
            chooser = _Chooser(Rerun(held[name], run), settings)
            done[name] = chooser.choose(groups)
        chosen = settings.chosen(chooser.choice)
        record.observers, record.clipping = chosen.observers, chosen.clipping
        plans[name] = settings.plan(chooser.choice)
        _say(name, done[name])
    return done


class _Chooser:
    """Finds the best choice for one region, greedily."""

    def __init__(self, images: Rerun, settings: Settings) -> None:
        self.settings, self.choice = settings, settings.uniform(0)
        self._images = images
        self._plan = settings.plan(self.choice)
        self._errors = images.begin(self._plan)

    def choose(self, groups: Mapping[str, list[str]]) -> Guarded:
        """Choose for the whole region, its blocks, and single values."""
        settings, found = self.settings, Guarded()
        found.ways['as configured'] = _decibels(self._errors)
        every = range(len(settings.ways))
        for way in every[1:]:
            errors = self._try(settings.uniform(way), whole=True)
            found.ways[_named(settings.ways[way])] = _decibels(errors)
        if len(groups) > 1:
            for values in groups.values():
                self._try_all(values, every)
        for value in settings.disputed(self.choice):
            self._try_all([value], every)
        found.kept = _decibels(self._errors)
        found.changed = {
            value: _named(settings.ways[way])
            for value, way in self.choice.items()
            if way
        }
        return found

    def _try_all(self, values: list[str], ways: Iterable[int]) -> None:
        for way in ways:
            self._try({**self.choice, **dict.fromkeys(values, way)})

    def _try(self, choice: Choice, whole: bool = False) -> Tensor:
        """Take a choice if it gains; its errors.

        Args:
            choice: The choice.
            whole: Whether all images are looked at, even where the first ones show that
                it gains nothing.
        """
        if choice == self.choice:
            return self._errors
        plan = self.settings.plan(choice)
        if _quantizers(plan) == _quantizers(self._plan):
            return self._errors
        errors = self._images.first(plan)
        if not whole and not _promises(errors, self._errors[: len(errors)]):
            return errors
        errors = torch.cat([errors, self._images.rest(plan)])
        if _gains(errors, self._errors):
            self.choice, self._plan, self._errors = choice, plan, errors
            self._images.take(plan)
        return errors


def _promises(errors: Tensor, before: Tensor) -> bool:
    """Whether some images show half of what has to be gained, or nothing is known."""
    if not len(errors) or not torch.isfinite(before).all():
        return True
    if not torch.isfinite(errors).all():
        return False
    return _mean(before - errors) > GAIN / 2 * _mean(before)


def _gains(errors: Tensor, before: Tensor) -> bool:
    """Whether errors are smaller beyond doubt."""
    if not len(errors) or not torch.isfinite(errors).all():
        return False
    if not torch.isfinite(before).all():
        return True
    less = before - errors
    # The mean of a sum without rounding depends on no order of the images.
    mean = _mean(less)
    variance = math.fsum(((less - mean) ** 2).tolist()) / max(1, len(less) - 1)
    doubt = DEVIATIONS * (variance / len(less)) ** 0.5
    return mean > max(doubt, GAIN * _mean(before))


def _mean(errors: Tensor) -> float:
    return math.fsum(errors.tolist()) / len(errors)


def _quantizers(plan: RegionPlan) -> tuple:
    sites = {name: (site.output, site.inputs) for name, site in plan.sites.items()}
    return plan.inputs, sites


def _decibels(errors: Tensor) -> float:
    if not len(errors):
        return decibels(1.0, 0.0)
    return round(decibels(1.0, _mean(errors)), 2)


def _named(cfg: dict | None) -> str:
    return 'as configured' if cfg is None else function_name(cfg)


def _say(region: str, found: Guarded) -> None:
    ways = ', '.join(f'{name} {db:.1f} dB' for name, db in found.ways.items())
    changed = f'{len(found.changed)} ranges changed' if found.changed else 'no change'
    print_log(
        f'guard: {region}: {ways}; kept {found.kept:.1f} dB, {changed}', 'current'
    )
