"""Configs as dicts."""

from typing import Any

from region_models import CANDIDATES

from iptq_mm.calibration import QuantizationConfig


def read(beside: Any = CANDIDATES, **quantization: Any) -> QuantizationConfig:
    return QuantizationConfig.from_dict({'regions': ['a'], **quantization}, beside)
