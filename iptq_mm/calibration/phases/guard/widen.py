"""The phase widen: inputs of linear layers whose 8 bits cost too much get more.

Some models have values that few bits cannot hold, whatever the range: in a row that a
LayerNorm or GELU makes, one channel is a hundred times the others. How much each value
costs by itself is measured at the outputs of the region. Those that cost most get the
bits of wide values, until the rest leaves the ratio that the config asks for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mmengine import dist
from mmengine.logging import print_log
from torch import nn

from ....plan import RegionPlan
from ....record import RegionRecord
from ....utils.decibels import decibels
from ...config import QuantizationConfig
from ...planner import Planner
from ...region_order import inputs_from_producers, producers_first
from ...site_overrides import PRODUCTS, SiteOverrides, wide_inputs
from .held_out import HeldOut
from .mode import NARROW_BITS, Ranged

#: About how many images tell whether values cost too much.
IMAGES = 16
#: How many of the calls of a region measure each value by itself, where no images are
#: looked at first.
_FEW = 2
#: Where other values leave more than the config asks for, values that could be widened
#: need not make up for them: together they may cost as much as the others.
_BESIDE = 2.0
#: By what factor errors fall short of what is asked for, where it is not expected.
_CLEARLY = 2.0


@dataclass
class Widened:
    """What the phase found in a region.

    Attributes:
        before: Decibels at the outputs with as few bits as the config has; None: no
            image called the region.
        after: Decibels with what was chosen; the other values are floats in both.
        values: Names of the values that get more bits, costliest first.
    """

    before: float | None
    after: float | None
    values: list[str] = field(default_factory=list)


def widen(
    model: nn.Module,
    config: QuantizationConfig,
    records: dict[str, RegionRecord],
    held: Mapping[str, HeldOut],
) -> dict[str, Widened]:
    """Note in the records which values get the bits of wide ones.

    Args:
        model: The float model.
        config: Its ``activation.least_db`` is what shall be reached.
        records: From the phases that choose ranges.
        held: By region, its calls on images; on those that chose no range, where there
            are some.
    """
    plans: dict[str, RegionPlan] = {}
    done = {}
    for name, record in producers_first(records):
        produced = inputs_from_producers(record, plans)
        search = _Search(held[name], record, config)
        search.produced = produced
        done[name] = search.choose()
        record.widened = sorted(done[name].values)
        plans[name] = search.plan(record.widened)
        _say(name, done[name], len(search.values))
    return done


class _Search:
    """Finds the fewest values of one region that have to be wide."""

    def __init__(
        self, images: HeldOut, record: RegionRecord, config: QuantizationConfig
    ) -> None:
        self.images, self.record, self.config = images, record, config
        self.produced: dict = {}
        self._errors: dict[tuple[str, ...], float] = {}
        self.values = widenable(record, config)

    def plan(self, values: Iterable[str]) -> RegionPlan:
        """The plan with some values wide, without functions and parameters."""
        record = replace(self.record, widened=list(values))
        return Planner(record, self.config, self.produced).plan('')

    def choose(self) -> Widened:
        """Take the costliest values, as few as the wanted ratio takes."""
        assert self.config.activation.least_db is not None
        most = 10 ** (-self.config.activation.least_db / 10)
        if not self._called():
            return Widened(None, None)
        before = now = self._error([])
        found = Widened(_shown(before), _shown(before))
        if not now > most or not self.values:
            return found
        most = max(most, _BESIDE * self._error(self.values))
        costs = self._costs() if now > most else {}
        # Errors of values add up: as many as should do are taken at once, and what is
        # left is measured. They may add up to less than all values together lose: it is
        # also measured after 1, 2, 4, ... values, and is enough if it clearly is.
        too_few = 0
        for value in sorted(costs, key=lambda v: (-costs[v], v)):
            if now <= most:
                break
            found.values.append(value)
            before -= costs[value]
            if not before > most or not math.isfinite(before):
                now = before = self._error(found.values)
                if now > most:
                    too_few = len(found.values)
            elif len(found.values).bit_count() == 1:
                left = self._error(found.values)
                if left <= most / _CLEARLY:
                    now = left
                else:
                    too_few = len(found.values)
        found.values = self._fewer(found.values, too_few, most / _CLEARLY)
        found.after = _shown(self._error(found.values))
        return found

    def _fewer(self, values: list[str], too_few: int, most: float) -> list[str]:
        """The first of some values that leave an error of at most ``most``; else all.

        Of more values it is taken to be less.

        Args:
            values: Costliest first.
            too_few: So many of them do not.
            most: What they shall leave.
        """
        enough = len(values)
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            if self._error(values[:middle]) <= most:
                enough = middle
            else:
                too_few = middle
        return values[:enough]

    def _costs(self) -> dict[str, float]:
        """The error that each value makes by itself, all others being floats."""
        plan, costs, held = self.plan([]), {}, self.images
        # All ranks together have those of some images, whoever has how many.
        parted = any(dist.all_gather_object(held.first < len(held.calls)))
        few = slice(held.first if parted else _FEW)
        for value in self.values:
            # Infinite where its few bits spoil an output.
            costs[value] = self._mean(Ranged(plan, {value}), few)
        return {value: error for value, error in costs.items() if error > 0}

    def _called(self) -> bool:
        """Whether an image of any rank called the region."""
        return any(dist.all_gather_object(bool(self.images.calls)))

    def _error(self, values: Iterable[str]) -> float:
        """The error with some values wide, measured once."""
        key = tuple(values)
        if key not in self._errors:
            self._errors[key] = self._mean(Ranged(self.plan(key)))
        return self._errors[key]

    def _mean(self, mode: Ranged, calls: slice = slice(None)) -> float:
        errors = self.images.errors(mode, calls).tolist()
        return math.fsum(errors) / len(errors) if errors else 0.0


def widenable(record: RegionRecord, config: QuantizationConfig) -> list[str]:
    """Values that may be widened, but those that an override gives bits."""
    if config.activation.bits > NARROW_BITS:
        return []
    overrides = SiteOverrides(config.overrides, record)
    given = {
        record.sources[site][0]
        for site, kind in record.operations.items()
        if kind in PRODUCTS and overrides.activation_bits(site) is not None
    }
    return [value for value in wide_inputs(record) if value not in given]


def _shown(error: float) -> float:
    return round(decibels(1.0, max(0.0, error)), 2)


def _say(region: str, found: Widened, among: int) -> None:
    if found.before is None:
        print_log(
            f'widen: {region}: no image called it, nothing was widened', 'current'
        )
        return
    count = len(found.values)
    how = f'; {count} of {among} inputs widened: {found.after:.1f} dB' if count else ''
    print_log(f'widen: {region}: {found.before:.1f} dB{how}', 'current')
