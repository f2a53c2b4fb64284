"""Quantization inside mmengine runners."""

from .comparing_loop import ComparingLoop
from .export import export_config, save_quantized
from .hook import QuantizationHook
from .quantize import Quantization, quantize_model

__all__ = [
    'ComparingLoop',
    'Quantization',
    'QuantizationHook',
    'export_config',
    'quantize_model',
    'save_quantized',
]
