"""The phase freeze: parameters become integers, and biases correct the mean error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from ...intmath import storage_dtype
from ...kept_float import quantized_parameters
from ...modes.install import install
from ...operations import TRANSPOSED, WEIGHTS
from ...patches import from_transposed_rows, transposed_rows
from ...pixels import Pixels
from ...plan import ParameterPlan, RegionPlan
from ...record import RegionRecord
from ...registry import ROUNDINGS
from ...rounding.base import Rounded
from ..calibrated_ranges import warn_of_clipping
from ..config import QuantizationConfig
from ..rewrites.marks import marked_layer, with_exact_marks
from .bias_correction import correctable_biases, mean_loss
from .frozen.kept import Kept
from .frozen.progress import Progress, Shown
from .frozen.rounds import Job, Rounds
from .frozen.sharing import cost_of, features_of, rounds_of
from .measure import RegionInputs
from .measure_mode import InputsByWeight, seen_by
from .plan_parameters import one_scale


def freeze_regions(
    model: nn.Module,
    config: QuantizationConfig,
    plans: dict[str, RegionPlan],
    records: dict[str, RegionRecord] | None = None,
    inputs: RegionInputs | None = None,
    kept: Kept | None = None,
    show: Shown | None = None,
) -> None:
    """Turn the regions of a float model into integer ones, in place.

    Args:
        model: The float model.
        config: Rounding and bias correction.
        plans: By region.
        records: By region; without them no bias is corrected.
        inputs: From :func:`~.measure.measure`, if the config wants it.
        kept: Weights that were rounded before; None: none.
        show: Is told how far it is, see :class:`~.frozen.progress.Progress`.
    """
    kept, found = Kept() if kept is None else kept, inputs or {}
    costs = {name: _costs(plan, found.get(name) or {}) for name, plan in plans.items()}
    progress = Progress(costs, show)
    for name, plan in plans.items():
        module = model.get_submodule(name)
        plan.check(name, module)
        record = (records or {}).get(name, RegionRecord())
        if record.values:
            warn_of_clipping(name, record, plan)
        seen, one_more = found.get(name), progress.region(name)
        integers = quantize_parameters(
            module, plan, record, config, seen, kept, one_more
        )
        install(name, module, plan, integers)


def quantize_parameters(
    module: nn.Module,
    plan: RegionPlan,
    record: RegionRecord,
    config: QuantizationConfig,
    inputs: InputsByWeight | None = None,
    kept: Kept | None = None,
    rounded_one: Callable[[], Any] = int,
) -> dict[str, Tensor]:
    """Round the parameters of a region: weights first, since these change biases.

    Args:
        module: The region's float module.
        plan: Its plan, parameters included. Gets the scales that a rounding chose, and
            those of corrected biases.
        record: Which parameters meet at a site.
        config: Rounding and bias correction.
        inputs: What the weights get, if the config wants it.
        kept: Weights that were rounded before; None: none.
        rounded_one: Called after each weight.

    Returns:
        Integers by parameter, of the narrowest type.
    """
    settings = dict(config.weight.rounding)
    rounds = Rounds(ROUNDINGS.build(dict(settings)), repr(settings), kept or Kept())
    values = {n: p.detach() for n, p in quantized_parameters(module)}
    biases = correctable_biases(record, values) if config.weight.bias_correction else {}
    marked_weight, marked_bias = marked_layer(record, plan.pixels)
    integers: dict[str, Tensor] = {}

    def add_to_bias(name: str, added: Tensor) -> None:
        values[name] = values[name].double() + added.to(values[name].device)
        plan.parameters[name] = one_scale(values[name], plan.parameters[name].role)

    jobs: dict[str, Job] = {}
    for name, parameter in _weights(plan):
        if name == marked_weight and parameter.group:
            # The channel of the marks has a scale of its own.
            parameter = plan.parameters[name] = replace(parameter, group=0)
        weight, seen = _rows(values[name], parameter), seen_by(name, inputs or {})
        corrected = seen is not None and name in biases
        jobs[name] = Job(weight, parameter, seen, corrected)
    made = rounds.all(plan, jobs, rounded_one)
    for name, (weight, parameter, seen, _) in jobs.items():
        rounded, bias, lost = made[name], biases.get(name) if seen else None, None
        if name == marked_weight:
            rounded, _ = _with_marks(rounded, weight, parameter, plan.pixels)
        if seen and bias is not None:
            lost = mean_loss(weight, rounded, seen, len(values[bias]))
            add_to_bias(bias, lost)
        if name == marked_weight:
            rounded, rest = _with_marks(rounded, weight, parameter, plan.pixels, lost)
            add_to_bias(marked_bias, rest)
        integers[name] = _of_the_module(rounded.codes, parameter)
        plan.parameters[name] = replace(parameter, scale=rounded.scale.tolist())
    for name, parameter in plan.parameters.items():
        if parameter.role not in WEIGHTS:
            integers[name] = nearest(values[name], parameter)
    return integers


def nearest(value: Tensor, plan: ParameterPlan) -> Tensor:
    """The integers of a parameter with one scale, of the narrowest type."""
    scale = plan.scales().to(value.device)
    q = (value.double() / scale).round().clamp(-plan.bound, plan.bound)
    return q.to(storage_dtype(-plan.bound, plan.bound))


def _weights(plan: RegionPlan) -> list[tuple[str, ParameterPlan]]:
    """Names and plans of the weights of a region."""
    return [(n, p) for n, p in plan.parameters.items() if p.role in WEIGHTS]


def _costs(plan: RegionPlan, inputs: InputsByWeight) -> list[float]:
    """What each weight takes, in the order in which they are rounded."""
    features = features_of(plan, inputs)
    order = [name for (name,) in rounds_of(plan, features, 1)]
    costs = [cost_of(plan, name, features[name]) for name in order]
    return [0.0] * (len(_weights(plan)) - len(costs)) + costs


def _with_marks(
    rounded: Rounded,
    weight: Tensor,
    plan: ParameterPlan,
    pixels: Pixels | None,
    lost: Tensor | None = None,
) -> tuple[Rounded, Tensor]:
    """See :func:`~iptq_mm.calibration.rewrites.marks.with_exact_marks`."""
    assert pixels is not None  # else no weight has a channel for marks
    codes, rest = with_exact_marks(*rounded, weight, plan.bound, pixels, lost)
    return Rounded(codes, rounded.scale), rest


def _rows(weight: Tensor, plan: ParameterPlan) -> Tensor:
    """A weight with the output channels in dimension 0."""
    return transposed_rows(weight) if plan.role == TRANSPOSED else weight


def _of_the_module(codes: Tensor, plan: ParameterPlan) -> Tensor:
    """Inverse of :func:`_rows`: the shape that the module's parameter has."""
    return from_transposed_rows(codes, plan.shape) if plan.role == TRANSPOSED else codes
