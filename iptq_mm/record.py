"""The record: what calibration saw, by site.

It holds sums, extremes and histograms, never tensors of the model, so that its
size does not depend on how many images were seen; records of several processes
merge into the record of all their images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from torch import Tensor

from .criteria import CandidateErrors
from .functions import Constants
from .operations import Operation
from .pixels import Pixels
from .statistics import Statistics


class Prepared(TypedDict):
    """Constants of a function, and ``QParams.to_dict`` of its input."""

    input: dict[str, Any]
    constants: Constants


@dataclass
class RegionRecord:
    """What calibration saw in one region.

    Attributes:
        values: Statistics of each value, by the site or input that made it.
        operations: Kind of the operation of each site, in order of execution.
        sources: Where the operands of each site came from.
        outputs: Values that leave the region.
        parameters: Roles in which each parameter was used.
        powers: By LayerNorm, the powers of two of its input's channels, where they
            are not all 0; see :func:`~iptq_mm.modes.base.amplified`.
        clipping: Where values are clipped when they become narrow, as a share of
            their largest magnitude, for those that were searched.
        candidates: Errors of each candidate function at each non-linear site.
        constants: Constants of each candidate there, where they do not depend
            on parameters, and the quantizer of the input they were made for.
        refused: Why a candidate cannot serve a site.
        pixels: How the images were normalized that enter as pixels, if they do.
        origins: By input, the region and the value there that it comes from; None if
            not always from the same.
    """

    values: dict[str, Statistics] = field(default_factory=dict)
    operations: dict[str, str] = field(default_factory=dict)
    sources: dict[str, list[str | None]] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)
    parameters: dict[str, set[str]] = field(default_factory=dict)
    powers: dict[str, list[int]] = field(default_factory=dict)
    clipping: dict[str, float] = field(default_factory=dict)
    candidates: dict[str, dict[str, CandidateErrors]] = field(default_factory=dict)
    constants: dict[str, dict[str, Prepared]] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    pixels: Pixels | None = None
    origins: dict[str, tuple[str, str] | None] = field(default_factory=dict)

    def see_value(self, name: str, value: Tensor) -> None:
        """Add a value to the statistics.

        Raises:
            ValueError: If it holds NaN or infinite numbers; names the site.
        """
        try:
            self.values.setdefault(name, Statistics()).update(value)
        except ValueError as error:
            raise type(error)(f"site '{name}': {error}") from error

    def see_input(self, name: str, origin: tuple[str, str] | None) -> None:
        """Note which value of another region entered, if one did."""
        origin = None if origin is None else (origin[0], origin[1])
        if self.origins.setdefault(name, origin) != origin:
            self.origins[name] = None

    def see_site(
        self, site: str, operation: Operation, sources: Sequence[str | None]
    ) -> None:
        """Note what a site does and where its operands came from."""
        self.operations[site] = operation.kind
        self.sources[site] = list(sources)
        for position, source in enumerate(sources):
            if source is not None and source.startswith('parameter:'):
                name = source.removeprefix('parameter:')
                self.parameters.setdefault(name, set()).add(operation.role(position))

    def keep_constants(self, site: str, name: str, prepared: Prepared) -> None:
        """Keep the constants of a candidate, those for the widest input seen.

        A mask widens the input of a Softmax, and not every image brings one.
        """

        def span(made: Prepared) -> tuple[int, int]:
            low, high = made['input']['qmin'], made['input']['qmax']
            return high - low, -low

        kept = self.constants.setdefault(site, {})
        if name not in kept or span(prepared) > span(kept[name]):
            kept[name] = prepared

    def consumers(self) -> dict[str, list[tuple[str, int]]]:
        """For each value, the sites that use it and as which operand."""
        uses: dict[str, list[tuple[str, int]]] = {name: [] for name in self.values}
        for site, sources in self.sources.items():
            for position, source in enumerate(sources):
                if source in uses:
                    uses[source].append((site, position))
        return uses

    def merge(self, other: RegionRecord) -> None:
        """Add what another process saw."""
        for name, statistics in other.values.items():
            if name in self.values:
                self.values[name].merge(statistics)
            else:
                self.values[name] = statistics
        self.operations = {**self.operations, **other.operations}
        self.sources = {**self.sources, **other.sources}
        self.outputs |= other.outputs
        for name, roles in other.parameters.items():
            self.parameters.setdefault(name, set()).update(roles)
        self.powers = {**self.powers, **other.powers}
        for name, origin in other.origins.items():
            self.see_input(name, origin)
        for site, candidates in other.candidates.items():
            for name, errors in candidates.items():
                mine_at = self.candidates.setdefault(site, {})
                if name in mine_at:
                    mine_at[name].merge(errors)
                else:
                    mine_at[name] = errors
        for site, constants in other.constants.items():
            for name, prepared in constants.items():
                self.keep_constants(site, name, prepared)
        for site, reasons in other.refused.items():
            self.refused[site] = {**reasons, **self.refused.get(site, {})}

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors, for ``torch.save``."""
        return {
            'values': {n: s.state_dict() for n, s in self.values.items()},
            'operations': dict(self.operations),
            'sources': dict(self.sources),
            'outputs': sorted(self.outputs),
            'parameters': {n: sorted(r) for n, r in self.parameters.items()},
            'powers': dict(self.powers),
            'clipping': dict(self.clipping),
            'candidates': {
                s: {n: e.to_dict() for n, e in c.items()}
                for s, c in self.candidates.items()
            },
            'constants': self.constants,
            'refused': self.refused,
            'pixels': self.pixels and self.pixels.to_dict(),
            'origins': dict(self.origins),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> RegionRecord:
        """Inverse of :meth:`state_dict`."""
        return cls(
            {n: Statistics.from_state_dict(s) for n, s in state['values'].items()},
            dict(state['operations']),
            dict(state['sources']),
            set(state['outputs']),
            {n: set(r) for n, r in state['parameters'].items()},
            dict(state.get('powers', {})),
            dict(state['clipping']),
            {
                s: {n: CandidateErrors.from_dict(e) for n, e in c.items()}
                for s, c in state['candidates'].items()
            },
            state['constants'],
            state['refused'],
            Pixels.from_dict(state['pixels']) if state.get('pixels') else None,
            dict(state.get('origins', {})),
        )
