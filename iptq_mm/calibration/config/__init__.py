"""What to quantize and how: the ``quantization`` and ``candidates`` dicts."""

from .guarantee import GuaranteeConfig, widened
from .overrides import Override
from .quantization import OUTPUT_ERROR, SQNR_DIFFERENCE, QuantizationConfig
from .reading import ConfigError, meant

__all__ = [
    'OUTPUT_ERROR',
    'SQNR_DIFFERENCE',
    'ConfigError',
    'GuaranteeConfig',
    'Override',
    'QuantizationConfig',
    'meant',
    'widened',
]
