"""What to quantize and how: the ``quantization`` and ``candidates`` dicts."""

from .guarantee import GuaranteeConfig, widened
from .overrides import WIDE, Override
from .quantization import OUTPUT_ERROR, SQNR_DIFFERENCE, QuantizationConfig
from .reading import ConfigError, meant

__all__ = [
    'OUTPUT_ERROR',
    'SQNR_DIFFERENCE',
    'WIDE',
    'ConfigError',
    'GuaranteeConfig',
    'Override',
    'QuantizationConfig',
    'meant',
    'widened',
]
