"""Integer-only post-training quantization of OpenMMLab vision transformers."""

from __future__ import annotations

from typing import Any

from .float_guard import guard_float_models
from .utils import leave_out_multimodal, register_config_scope, repair_torchvision
from .version import __version__

# Before anything imports mmpretrain or mmdet.
repair_torchvision()
guard_float_models()
leave_out_multimodal()
register_config_scope()

__all__ = ['__version__', 'load', 'quantize']


def __getattr__(name: str) -> Any:
    """``quantize`` and ``load``, whose import takes seconds, when asked for."""
    if name in ('load', 'quantize'):
        from .engine import any_torch

        return getattr(any_torch, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
