"""Peak memory and CPU time of the phases of a quantization."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch
from torch import nn

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.quantize.model import started
from iptq_mm.engine.quantize.phases import PHASES

from .memory import forget, high_water


@torch.no_grad()
def peaks_and_seconds(
    model: nn.Module, config: QuantizationConfig, batches: Iterable, last: str
) -> dict[str, tuple[float | None, float]]:
    """Quantize a model up to a phase.

    Args:
        model: Has a ``test_step``, as mmengine wants it.
        config: What to quantize.
        batches: Calibration batches.
        last: Name of the phase that ends it.

    Returns:
        By phase, the peak of the resident set since its beginning, in MiB (None: not
        known here), and the seconds of the CPU; before all, as ``before``.
    """
    found = {'before': (high_water(), time.process_time())}
    run = started(model, config, batches)
    for phase in PHASES:
        forget()
        began = time.process_time()
        phase.do(run)
        found[phase.name] = high_water(), time.process_time() - began
        if phase.name == last:
            break
    return found
