"""Back ends on the test data, compared bit by bit with eager integer mode."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from mmengine.runner import Runner
from torch import Tensor, nn

from ...modes import regions_in
from ...program import use_backend
from ..calibration_data import explained
from ..loading.backends import check_backend
from ..loading.models import load_quantized
from ..quantize.progress import progress_of


@dataclass
class BackendCheck:
    """The result of a back end, compared with eager integer mode.

    Attributes:
        values: Values that left regions.
        different: How many of them differ from those of eager integer mode.
        seconds: Time that the model took with it, tracing and compiling included.
    """

    values: int = 0
    different: int = 0
    seconds: float = 0.0


def check_backends(
    config: str | os.PathLike,
    checkpoint: str | None,
    backends: list[str],
    *,
    images: int | None = None,
    batch_size: int | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> dict[str, BackendCheck]:
    """Run the test data through a quantized model on several back ends.

    Args:
        config: The config that was written beside the integer checkpoint.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        backends: Names of the back ends.
        images: How many images; None: all.
        batch_size: Images in a batch; None: those of the config.
        cfg_options: Overrides, by dotted key.

    Returns:
        By back end; ``eager`` is the integer mode itself.

    Raises:
        ConfigError: If the config builds no quantized region, or a back end cannot
            run here.
        FileNotFoundError: If the config, checkpoint or data is missing.
    """
    for name in backends:
        check_backend(name)
    cfg, model = load_quantized(config, checkpoint, cfg_options)
    if batch_size:
        cfg.test_dataloader.batch_size = batch_size
    with explained('the test images'):
        loader = Runner.build_dataloader(cfg.test_dataloader)
    size = loader.batch_size or 1
    count = len(loader) if images is None else min(len(loader), -(-images // size))
    return compare_backends(model, islice(loader, count), backends, count)


def compare_backends(
    model: nn.Module, batches: Any, backends: list[str], count: int
) -> dict[str, BackendCheck]:
    """See :func:`check_backends`.

    Args:
        model: A quantized model in eval mode.
        batches: As a data loader gives them.
        backends: Names of the back ends.
        count: How many batches there are.
    """
    checks = {name: BackendCheck() for name in ('eager', *backends)}
    sessions: dict[str, Any] = {}
    for name in backends:
        use_backend(model, name)
        sessions[name] = {n: r.session for n, r in regions_in(model).items()}
    sessions['eager'] = dict.fromkeys(regions_in(model))
    for batch in progress_of(batches, 'compare', count):
        expected: list[Tensor] = []
        for name, check in checks.items():
            # What stays float runs as this back end has it; the programs are kept.
            use_backend(model, None if name == 'eager' else name)
            began = time.perf_counter()
            found = _outputs(model, sessions[name], batch)
            check.seconds += time.perf_counter() - began
            check.values += sum(x.numel() for x in found)
            if name == 'eager':
                expected = found
            check.different += _differences(expected, found)
    use_backend(model, None)
    return checks


def _outputs(model: Any, sessions: dict[str, Any], batch: Any) -> list[Tensor]:
    """All that leaves regions while the model predicts."""
    found: list[Tensor] = []
    for name, region in regions_in(model).items():
        region.session = sessions[name]
        region.on_output = lambda _, outputs: found.extend(outputs)
    try:
        with torch.no_grad():
            model.test_step(batch)
    finally:
        for region in regions_in(model).values():
            region.on_output = None
    return found


def _differences(expected: list[Tensor], found: list[Tensor]) -> int:
    """How many values differ; of another shape, all."""
    count = abs(len(expected) - len(found))
    for x, y in zip(expected, found, strict=False):
        count += int((x != y).sum()) if x.shape == y.shape else y.numel()
    return count
