"""Peak memory and CPU time of the phases of a quantization."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.quantize.model import started
from iptq_mm.engine.quantize.phases import PHASES


@torch.no_grad()
def peaks_and_seconds(
    model: nn.Module, config: QuantizationConfig, batches: Iterable, last: str
) -> dict[str, tuple[float, float]]:
    """Quantize a model up to a phase.

    Args:
        model: Has a ``test_step``, as mmengine wants it.
        config: What to quantize.
        batches: Calibration batches.
        last: Name of the phase that ends it.

    Returns:
        By phase, the peak of the resident set since its beginning, in MiB, and the
        seconds of the CPU; before all, as ``before``.
    """
    found = {'before': (_peak(), time.process_time())}
    run = started(model, config, batches)
    for phase in PHASES:
        _forget_peak()
        began = time.process_time()
        phase.do(run)
        found[phase.name] = _peak(), time.process_time() - began
        if phase.name == last:
            break
    return found


def _forget_peak() -> None:
    """Let the kernel begin anew with the peak of the resident set."""
    Path('/proc/self/clear_refs').write_text('5', encoding='ascii')


def _peak() -> float:
    """The peak of the resident set in MiB."""
    lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
    (line,) = [line for line in lines if line.startswith('VmHWM')]
    return int(line.split()[1]) / 2**10
