"""What a run was of: its config, checkpoint, bits, images and the model it made."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from dataclasses import asdict
from typing import Any

from mmengine.config import Config
from torch import nn

from ...calibration import QuantizationConfig
from ...plan import RegionPlan


def described_run(
    config: Config,
    settings: QuantizationConfig,
    plans: dict[str, RegionPlan],
    model: nn.Module,
    images: dict[str, int],
) -> dict[str, Any]:
    """Sections of ``results.json`` that say what its figures are of.

    Args:
        config: The whole config, as it was read.
        settings: Its quantization.
        plans: By region.
        model: The quantized model.
        images: How many images calibrated and were evaluated.

    Returns:
        ``config`` and ``checkpoint`` (paths; None: weights were made), ``bits``,
        ``images``, ``numbers`` (parameters that are integers, and that stay float)
        and ``quantization``, the settings as plain data.
    """
    parameters = [p for plan in plans.values() for p in plan.parameters.values()]
    stored: Counter[int] = Counter()
    for parameter in parameters:
        stored[parameter.bits] += math.prod(parameter.shape)
    total = sum(p.numel() for p in model.parameters())
    integer = sum(stored.values())
    return {
        'config': _text(config.filename),
        'checkpoint': _text(config.get('load_from')),
        'bits': {
            'weight': settings.weight.bits,
            'activation': settings.activation.bits,
            'wide': settings.wide.bits,
            'parameters': {str(bits): stored[bits] for bits in sorted(stored)},
        },
        'images': images,
        'numbers': {'integer': integer, 'float': max(0, total - integer)},
        'quantization': plain_settings(asdict(settings)),
    }


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file, as ``sha256sum`` prints it."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def plain_settings(value: Any) -> Any:
    """Settings as JSON has them; what it has not, as text."""
    if isinstance(value, dict):
        return {str(k): plain_settings(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_settings(v) for v in value]
    known = value is None or isinstance(value, bool | int | float | str)
    return value if known else str(value)


def _text(path: Any) -> str | None:
    return None if path is None else str(path)
