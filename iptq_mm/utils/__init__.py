"""Helpers that belong to no phase of quantization."""

from .config_scope import register_config_scope
from .multimodal_guard import leave_out_multimodal
from .torchvision_repair import repair_torchvision

__all__ = ['leave_out_multimodal', 'register_config_scope', 'repair_torchvision']
