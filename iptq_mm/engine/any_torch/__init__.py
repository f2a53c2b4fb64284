"""Quantization of any torch model, without configs, registries and runners."""

from .quantized import QuantizedModel
from .run import load, quantize

__all__ = ['QuantizedModel', 'load', 'quantize']
