"""Helpers that belong to no phase of quantization."""

from .config_scope import register_config_scope
from .torchvision_repair import repair_torchvision

__all__ = ['register_config_scope', 'repair_torchvision']
