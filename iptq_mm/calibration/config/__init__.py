"""What to quantize and how: the ``quantization`` and ``candidates`` dicts."""

from .guarantee import GuaranteeConfig, widened
from .quantization import OUTPUT_ERROR, SQNR, SQNR_DIFFERENCE, QuantizationConfig
from .reading import ConfigError, meant

__all__ = [
    'OUTPUT_ERROR',
    'SQNR',
    'SQNR_DIFFERENCE',
    'ConfigError',
    'GuaranteeConfig',
    'QuantizationConfig',
    'meant',
    'widened',
]
