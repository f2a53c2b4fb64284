"""What to quantize and how: the ``quantization`` and ``candidates`` dicts."""

from .quantization import QuantizationConfig
from .reading import ConfigError

__all__ = ['ConfigError', 'QuantizationConfig']
