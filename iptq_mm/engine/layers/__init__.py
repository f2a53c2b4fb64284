"""What quantized models do layer by layer: their functions, SQNR and values."""

from .function_table import function_table
from .pictures import draw_histogram, draw_layers

__all__ = ['draw_histogram', 'draw_layers', 'function_table']
