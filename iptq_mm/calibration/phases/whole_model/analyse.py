"""The phase analyse of whole models: one run in integers for each method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from torch import nn

from ....criteria import CandidateErrors
from ....functions import IntegerFunction, function_name
from ....modes import Mode
from ....plan import RegionPlan
from ....record import RegionRecord
from ....registry import FUNCTIONS
from ...batches import Forward, run_passes
from ...config import ConfigError, QuantizationConfig
from ...config.methods import Method
from ...planner import Planner
from ...region_order import inputs_from_producers, producers_first
from ..analyse import cost_of, forget_findings
from ..observe import has_choices
from .modes import Keeping, OnVisit, Seen, Uniform
from .uniform import UniformModels


def analyse_whole_model(
    model: nn.Module,
    config: QuantizationConfig,
    records: dict[str, RegionRecord],
    forward: Forward,
    batches: Iterable,
) -> None:
    """Measure every candidate in a model that has one method at all of its sites.

    On each batch the float model runs once, and then the integer model once for each
    method (:meth:`~iptq_mm.calibration.QuantizationConfig.analysis_methods`). So the
    input of a site has the errors of all sites before it. Weights are rounded to the
    nearest by the scales of the plan. The float model stays as it is; the integers need
    memory beside it, and so do the values of one batch at the non-linear sites: at most
    2**19 elements an image of each input and output.

    Args:
        model: The float model.
        config: Candidates, methods and criterion.
        records: From the phase that observes; get the errors by site and candidate.
        forward: Runs a batch.
        batches: Calibration batches.

    Raises:
        ConfigError: If no function can serve a site, or if a site sees other rows in
            integers than in floats, so that nothing can be compared.
    """
    choosing = [name for name, record in records.items() if has_choices(record)]
    for name in choosing:
        forget_findings(records[name])
    passes = _Passes(model, config, records)
    run_passes(model, list(records), passes.of_batch, forward, batches, until=choosing)
    for name in choosing:
        record = records[name]
        for found in (record.constants, record.refused):
            for site, by_function in found.items():
                known = config.candidates[record.operations[site]]
                for stand_in in by_function.keys() - known.keys():
                    by_function.pop(stand_in)


class _Passes:
    """The passes over each batch, and what is found in them.

    Args:
        model: The float model.
        config: Candidates, methods and criterion.
        records: Of all regions.
    """

    def __init__(
        self,
        model: nn.Module,
        config: QuantizationConfig,
        records: Mapping[str, RegionRecord],
    ) -> None:
        self._records = records
        self._cost = cost_of(config)
        self._methods = config.analysis_methods()
        self._functions: dict[str, dict[str, IntegerFunction]] = {
            kind: {
                function_name(cfg): FUNCTIONS.build(dict(cfg))
                for cfg in (m.functions[kind] for m in self._methods)
            }
            for kind in config.candidates
        }
        self._floats = self._float_modes(model, config)
        self._uniform = UniformModels(model, config, records, self._floats)
        #: By method; made after the first float pass, again if a candidate is refused.
        self._integers: list[dict[str, Uniform]] = []
        self._refused = 0
        #: Of the running pass, by region and site.
        self._calls: Counter[tuple[str, str]] = Counter()

    def of_batch(self) -> Iterator[Mapping[str, Mode]]:
        """The modes of the passes over one batch: floats first, then each method."""
        for mode in self._floats.values():
            mode.seen.clear()
        yield self._floats
        sites = [
            r for record in self._records.values() for r in record.refused.values()
        ]
        refused = sum(map(len, sites))
        if not self._integers or refused != self._refused:
            self._refused = refused
            self._integers = [self._modes(method) for method in self._methods]
        for modes in self._integers:
            self._uniform.take_constants(modes)
            self._calls.clear()
            yield modes

    def _float_modes(
        self, model: nn.Module, config: QuantizationConfig
    ) -> dict[str, Keeping]:
        modes: dict[str, Keeping] = {}
        plans: dict[str, RegionPlan] = {}
        for name, record in producers_first(self._records):
            planner = Planner(record, config, inputs_from_producers(record, plans))
            plan = planner.plan(type(model.get_submodule(name)).__name__)
            plans[name], narrow = plan, planner.qparams
            modes[name] = Keeping(plan, self._functions, record, narrow, self._cost)
        return modes

    def _modes(self, method: Method) -> dict[str, Uniform]:
        def on_visit(name: str) -> OnVisit:
            return lambda site, chosen, seen: self._compare(
                method, name, site, chosen, seen
            )

        return self._uniform.modes(
            method, {name: on_visit(name) for name in self._records}
        )

    def _compare(
        self, method: Method, name: str, site: str, chosen: str, integer: Seen
    ) -> None:
        """Add the errors of a site to those of the candidate that the method has."""
        record, call = self._records[name], self._calls[name, site]
        self._calls[name, site] += 1
        kind = record.operations[site]
        candidate = function_name(method.functions[kind])
        if kind not in method.measured or chosen != candidate:
            return
        calls = self._floats[name].seen.get(site, [])
        if call >= len(calls) or calls[call].output.shape != integer.output.shape:
            raise ConfigError(
                f"region '{name}', site '{site}': it does not see the same rows in "
                'integers as in floats (boxes that the model itself chose, for '
                "instance), so that nothing can be compared: use analysis='site'"
            )
        real, function = calls[call], self._functions[kind][candidate]
        errors = CandidateErrors(cost=self._cost(function, real.output.shape[-1]))
        errors.add_batch(
            real.output,
            integer.output,
            real.input,
            integer.input,
            len(real.output),
            real.elements,
        )
        record.merge(RegionRecord(candidates={site: {candidate: errors}}))
