"""Helpers that belong to no phase of quantization."""

from .torchvision_repair import repair_torchvision

__all__ = ['repair_torchvision']
