"""What a quantization did to a model, in plain types."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...modes.region import is_real
from ...plan import RegionPlan
from ...program.audit import audit_model, plain
from ...utils.decibels import decibels
from ...utils.trees import tree_leaves
from ..quantize.model import Quantization
from .calling import Call


def report_of(
    root: nn.Module,
    model: nn.Module,
    found: Quantization,
    call: Call,
    batch: Any,
    floats: Any,
) -> dict[str, Any]:
    """The report of a quantization: audit, functions, bytes and errors.

    Args:
        root: The model whose parts are the regions.
        model: The user's model, which is in it; integer by now.
        found: The result of the quantization.
        call: Runs the model on a batch.
        batch: The last calibration batch.
        floats: What the float model made of it.
    """
    with torch.no_grad():
        integers = call(model, batch)
    audit = audit_model(root, lambda: call(model, batch))
    return {
        'regions': list(found.plans),
        'decibels': output_decibels(floats, integers),
        'functions': found.assignment(),
        'widened': {name: record.widened for name, record in found.records.items()},
        'bytes': stored_bytes(found.plans),
        'checks': found.checks,
        'reconstruction': found.reconstruction,
        'seconds': found.seconds,
        'audit': plain(audit, type(model).__name__),
    }


def output_decibels(floats: Any, integers: Any) -> dict[str, float]:
    """Signal-to-noise ratio of each float tensor that a model returns.

    Args:
        floats: What the float model returned.
        integers: What the integer model returned.

    Returns:
        By number of the tensor, in dB; without those whose shapes differ.
    """
    pairs = zip(_reals(floats), _reals(integers), strict=True)
    found = {}
    for i, (x, y) in enumerate(pairs):
        if x.shape == y.shape:
            exact, error = x.double(), y.double() - x.double()
            power, noise = float((exact**2).sum()), float((error**2).sum())
            found[f'output:{i}'] = round(decibels(power, noise), 2)
    return found


def stored_bytes(plans: dict[str, RegionPlan]) -> dict[str, int]:
    """Bytes of the parameters of all regions, as float32 and as integers in a file."""
    counts = [
        (torch.Size(p.shape).numel(), p.bits)
        for plan in plans.values()
        for p in plan.parameters.values()
    ]
    return {
        'float': sum(4 * count for count, _ in counts),
        'integer': sum(-(-count * bits // 8) for count, bits in counts),
    }


def _reals(outputs: Any) -> list[Tensor]:
    return [x for x in tree_leaves(outputs) if is_real(x)]
