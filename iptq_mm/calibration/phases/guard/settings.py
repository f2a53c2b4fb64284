"""The ways to choose ranges among which the guard decides, and for which values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from ....plan import RegionPlan
from ....record import RegionRecord
from ...config import QuantizationConfig
from ...planner import Known, Planner
from ...reconstruction.parts import is_block
from ..search import narrow_values

#: By value, the number of a way in :attr:`Settings.ways`; 0: what the config asks for.
Choice = dict[str, int]
#: Most values that are looked at one by one.
MOST_SINGLE = 8
#: A value whose ranges differ by less is not looked at by itself.
_ALIKE = 1.25


class Settings:
    """The ways to choose the ranges of a region, and the plans they lead to.

    Args:
        record: From the phases that observe and search.
        config: What to quantize.
        produced: Quantizers of the inputs that other regions produce, by name.

    Attributes:
        ways: Registry dicts of observers; None, the first: as the config has it, limits
            that ``search_images`` found included.
        values: The values whose ranges are chosen.
    """

    def __init__(
        self,
        record: RegionRecord,
        config: QuantizationConfig,
        produced: Mapping[str, Any],
    ) -> None:
        self.record, self._config, self._produced = record, config, produced
        self._known: Known = {}
        configured = dict(config.activation.observer)
        others = [dict(cfg) for cfg in config.activation.guard_observers]
        plain = [configured] if record.clipping else []
        ways = plain + [cfg for cfg in others if cfg != configured]
        self.ways: list[dict | None] = [None, *ways]
        self.values = narrow_values(record)

    def uniform(self, way: int) -> Choice:
        """The same way for all values."""
        return dict.fromkeys(self.values, way)

    def chosen(self, choice: Choice) -> RegionRecord:
        """The record with the choice noted in it."""
        observers, clipping = dict(self.record.observers), dict(self.record.clipping)
        for value, way in choice.items():
            cfg = self.ways[way]
            if cfg is not None:
                observers[value] = cfg
                clipping.pop(value, None)
        return replace(self.record, observers=observers, clipping=clipping)

    def plan(self, choice: Choice) -> RegionPlan:
        """The plan of a choice, without functions and parameters."""
        return self._planner(self.chosen(choice), self._config).plan('')

    def _planner(self, record: RegionRecord, config: QuantizationConfig) -> Planner:
        return Planner(record, config, self._produced, self._known)

    def groups(self, module: nn.Module) -> dict[str, list[str]]:
        """The values by block of the region, what is in no block by itself.

        Args:
            module: The module of the region.
        """
        blocks = [p for p, m in module.named_modules() if p and is_block(p, m)]
        found: dict[str, list[str]] = {}
        for value in self.values:
            path = value.partition('/')[0]
            inside = [b for b in blocks if f'{path}/'.startswith((f'{b}.', f'{b}/'))]
            found.setdefault(inside[0] if inside else value, []).append(value)
        return found

    def disputed(self, choice: Choice) -> list[str]:
        """Values whose ranges differ most between a choice and the widest one.

        In the order of execution: then most of what comes before stays as it is.
        """
        planner = self._planner(self.chosen(choice), self._config)
        widest = replace(self.record, clipping={}, observers={})
        minmax = replace(self._config.activation, observer={'type': 'minmax'})
        other = self._planner(widest, replace(self._config, activation=minmax))

        def reach(plan: Planner, value: str) -> float:
            qparams = plan.operand(value, plan.narrow_bits(value))
            if qparams is None:
                return 0.0
            return qparams.scale * max(-qparams.qmin, qparams.qmax)

        def ratios() -> Iterator[tuple[float, str]]:
            for value in self.values:
                mine = reach(planner, value)
                if mine and reach(other, value) > _ALIKE * mine:
                    yield reach(other, value) / mine, value

        most = {v for _, v in sorted(ratios(), reverse=True)[:MOST_SINGLE]}
        return [value for value in self.values if value in most]
