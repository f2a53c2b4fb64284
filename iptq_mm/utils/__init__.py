"""Helpers that belong to no phase of quantization."""

from .float_guard import guard_float_models
from .torchvision_repair import repair_torchvision

__all__ = ['guard_float_models', 'repair_torchvision']
