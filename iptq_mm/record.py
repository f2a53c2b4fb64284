"""The record: the statistics that calibration gathers, by site.

It holds sums, extremes and histograms but no activations, so that its size does not
depend on the number of images. Records of several processes merge into the record that
one process would have made of all images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict

from torch import Tensor

from .criteria import CandidateErrors
from .functions import Constants
from .given import GivenInput
from .operations import Operation
from .pixels import Pixels
from .statistics import Statistics


class Prepared(TypedDict):
    """Constants of a function, and the quantizer of its input as a dict."""

    input: dict[str, Any]
    constants: Constants


@dataclass
class RegionRecord:
    """What calibration observed in one region.

    Attributes:
        values: Statistics of each value, by the site or input that made it.
        operations: Kind of the operation of each site, in order of execution.
        sources: Sources of the operands of each site; None where one is missing.
        outputs: Values that leave the region.
        parameters: Roles in which each parameter was used.
        channel_shifts: By LayerNorm site: the left shift of each channel of its input,
            if they are not all 0; see
            :func:`~iptq_mm.qtensor.channel_shifts.shift_channels`.
        clipping: The limit at which a value is clipped in low precision, relative to
            its largest magnitude, for values whose limit was searched.
        candidates: Errors of each candidate function at each non-linear site.
        constants: Constants of each candidate at each non-linear site, unless they
            depend on parameters, with the quantizer of the input they were made for.
        refused: Reasons why candidates cannot be used at a site.
        pixels: Normalization of the images, if they enter as pixels.
        producers: By input: the region and the value there that it comes from; None if
            that differs from call to call.
        function_limits: By non-linear site: the real magnitude at which its function
            clips its input, if the range of the input was chosen for the function.
        rows: By non-linear site: rows of an image, and their length.
        region: Name of the region.
        modules: Class names of its modules, by path within the region.
        observers: The registry dict of the observer that chooses the range of a value
            in low precision, for values where it is not that of the config.
        given: Integers, booleans and additive masks that enter, by input name.
        widened: Values that get the bits of wide ones although products take them.
    """

    values: dict[str, Statistics] = field(default_factory=dict)
    operations: dict[str, str] = field(default_factory=dict)
    sources: dict[str, list[str | None]] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)
    parameters: dict[str, set[str]] = field(default_factory=dict)
    channel_shifts: dict[str, list[int]] = field(default_factory=dict)
    clipping: dict[str, float] = field(default_factory=dict)
    candidates: dict[str, dict[str, CandidateErrors]] = field(default_factory=dict)
    constants: dict[str, dict[str, Prepared]] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    pixels: Pixels | None = None
    producers: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    function_limits: dict[str, float] = field(default_factory=dict)
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    region: str = ''
    modules: dict[str, str] = field(default_factory=dict)
    observers: dict[str, dict[str, Any]] = field(default_factory=dict)
    given: dict[str, GivenInput] = field(default_factory=dict)
    widened: list[str] = field(default_factory=list)

    def see_value(self, name: str, value: Tensor) -> None:
        """Add a value to the statistics.

        Raises:
            ValueError: If it holds NaN or infinite numbers; names the site.
        """
        try:
            self.values.setdefault(name, Statistics()).update(value)
        except ValueError as error:
            raise type(error)(f"site '{name}': {error}") from error

    def see_input(self, name: str, producer: tuple[str, str] | None) -> None:
        """Note which value of another region an input is; None if it is none."""
        producer = None if producer is None else (producer[0], producer[1])
        if self.producers.setdefault(name, producer) != producer:
            self.producers[name] = None

    def see_site(
        self, site: str, operation: Operation, sources: Sequence[str | None]
    ) -> None:
        """Note the operation of a site and the sources of its operands."""
        self.operations[site] = operation.kind
        self.sources[site] = list(sources)
        for position, source in enumerate(sources):
            if source is not None and source.startswith('parameter:'):
                name = source.removeprefix('parameter:')
                self.parameters.setdefault(name, set()).add(operation.role(position))

    def see_rows(self, site: str, rows: int, length: int) -> None:
        """Note the rows of a site in an image; the most elements so far are kept."""
        kept = self.rows.get(site, (0, 0))
        self.rows[site] = max(kept, (rows, length), key=lambda s: (s[0] * s[1], s))

    def keep_constants(self, site: str, name: str, prepared: Prepared) -> None:
        """Keep the constants of a candidate for the input with the widest range so far.

        A mask widens the input range of a Softmax, and not every image has one.
        """

        def span(made: Prepared) -> tuple[int, int]:
            low, high = made['input']['qmin'], made['input']['qmax']
            return high - low, -low

        kept = self.constants.setdefault(site, {})
        if name not in kept or span(prepared) > span(kept[name]):
            kept[name] = prepared

    def consumers(self) -> dict[str, list[tuple[str, int]]]:
        """The sites that use each value, and the position of the operand, by value."""
        uses: dict[str, list[tuple[str, int]]] = {name: [] for name in self.values}
        for site, sources in self.sources.items():
            for position, source in enumerate(sources):
                if source in uses:
                    uses[source].append((site, position))
        return uses

    def merge(self, other: RegionRecord) -> None:
        """Add the record of another process."""
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
        self.channel_shifts = {**self.channel_shifts, **other.channel_shifts}
        for name, producer in other.producers.items():
            self.see_input(name, producer)
        self.function_limits = {**self.function_limits, **other.function_limits}
        for name, seen in other.given.items():
            self.given.setdefault(name, GivenInput()).merge(seen)
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
        for site, shape in other.rows.items():
            self.see_rows(site, *shape)
        for site, reasons in other.refused.items():
            self.refused[site] = {**reasons, **self.refused.get(site, {})}

    def state_dict(self) -> dict[str, Any]:
        """A dict of plain types and tensors, for ``torch.save``.

        Two keys are older than the names of the attributes: ``powers`` are the channel
        shifts and ``origins`` the producers.
        """
        return {
            'values': {n: s.state_dict() for n, s in self.values.items()},
            'operations': dict(self.operations),
            'sources': dict(self.sources),
            'outputs': sorted(self.outputs),
            'parameters': {n: sorted(r) for n, r in self.parameters.items()},
            'powers': dict(self.channel_shifts),
            'clipping': dict(self.clipping),
            'candidates': {
                s: {n: e.to_dict() for n, e in c.items()}
                for s, c in self.candidates.items()
            },
            'constants': self.constants,
            'refused': self.refused,
            'pixels': self.pixels and self.pixels.to_dict(),
            'origins': dict(self.producers),
            'function_limits': dict(self.function_limits),
            'rows': dict(self.rows),
            'region': self.region,
            'modules': dict(self.modules),
            'observers': {v: dict(cfg) for v, cfg in self.observers.items()},
            'given': {n: asdict(seen) for n, seen in self.given.items()},
            'widened': list(self.widened),
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
            dict(state.get('function_limits', {})),
            {
                site: (rows, length)
                for site, (rows, length) in state.get('rows', {}).items()
            },
            state.get('region', ''),
            dict(state.get('modules', {})),
            {v: dict(cfg) for v, cfg in state.get('observers', {}).items()},
            {n: GivenInput(**seen) for n, seen in state.get('given', {}).items()},
            list(state.get('widened', [])),
        )
