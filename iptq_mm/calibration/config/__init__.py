"""What to quantize and how: the ``quantization`` and ``candidates`` dicts."""

from .overrides import Override
from .quantization import OUTPUT_ERROR, SQNR, SQNR_DIFFERENCE, QuantizationConfig
from .reading import ConfigError, meant

__all__ = [
    'OUTPUT_ERROR',
    'SQNR',
    'SQNR_DIFFERENCE',
    'ConfigError',
    'Override',
    'QuantizationConfig',
    'meant',
]
