"""Quantization inside mmengine runners: calibration data, hook, evaluation, export."""

from .evaluate.comparing_loop import ComparingLoop
from .export.checkpoint import export_config, save_quantized
from .guarantee.hook import FlagHook
from .quantize.hook import QuantizationHook
from .quantize.model import Quantization, quantize_model

__all__ = [
    'ComparingLoop',
    'FlagHook',
    'Quantization',
    'QuantizationHook',
    'export_config',
    'quantize_model',
    'save_quantized',
]
