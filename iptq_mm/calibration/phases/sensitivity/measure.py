"""The pass that measures what few bits at each site do to the outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from ....intmath import QParams
from ....modes import Mode
from ....plan import RegionPlan
from ....record import RegionRecord
from ...backward import Saved
from ...batches import Forward, run_batches
from ...config import WIDE, QuantizationConfig
from ...planner import Planner
from ...region_order import inputs_from_producers, producers_first
from ...site_overrides import wide_inputs
from ..measure import RegionInputs
from .effects import Sensitivities
from .forms import WeightForm
from .mode import Sensing, ValueQuantizer
from .rounded import rounded_weights


def sensitivities(
    model: nn.Module,
    config: QuantizationConfig,
    records: dict[str, RegionRecord],
    forward: Forward,
    batches: Iterable,
    forms: Sequence[WeightForm] = (),
    widths: Sequence[int] = (),
    draws: int = 1,
    inputs: RegionInputs | None = None,
) -> Sensitivities:
    """What each form of weights and width of activations does to the outputs, by site.

    One pass over the batches serves all of them. Weights are rounded as the config has
    it, and biases make up for their mean errors; learned blocks make less of it.

    Args:
        model: The float model.
        config: Observers, and how weights are rounded.
        records: From the phases that observe and analyse.
        forward: Runs a batch.
        batches: Calibration batches.
        forms: Of weights, those to try.
        widths: Of activations, the bits to try.
        draws: Passes backward for a batch.
        inputs: From :func:`~..measure.measure`, if the config wants it.
    """
    found: Sensitivities = {name: {} for name in records}
    modes: dict[str, Mode] = {}
    saved = Saved(config.calibration.gradient_memory_mb)
    plans: dict[str, RegionPlan] = {}
    for name, record in producers_first(records):
        planner = Planner(record, config, inputs_from_producers(record, plans))
        module = model.get_submodule(name)
        plans[name] = planner.plan(type(module).__name__)
        given = module, plans[name], record, config, (inputs or {}).get(name)
        modes[name] = Sensing(
            plans[name],
            found[name],
            widths,
            rounded_weights(*given, forms) if draws else {},
            _quantizer(planner),
            draws,
            saved,
        )
    run_batches(model, modes, forward, batches)
    for sites in found.values():
        for seen in sites.values():
            seen.multiplications /= max(1, seen.images)
    return found


def _quantizer(planner: Planner) -> ValueQuantizer:
    known: dict[tuple[str, int], QParams | None] = {}
    wide = set(wide_inputs(planner.record))

    def made(value: str, bits: int) -> QParams | None:
        if bits != WIDE:
            return planner.operand(value, bits)
        if value not in wide:
            return None
        return planner.qparams(value, planner.config.wide.bits, narrow=False)

    def quantizer(value: str, bits: int) -> QParams | None:
        key = value, bits
        if key not in known:
            known[key] = made(value, bits)
        return known[key]

    return quantizer
