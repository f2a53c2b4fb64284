"""Quantized modules in configs, and converters of public checkpoints."""

from ..float_guard import guard_float_models
from .guarded import Flags, GuardedClassifier
from .quantized import await_plan, build_quantized

guard_float_models()  # who imports models late may have a runner by now

__all__ = ['Flags', 'GuardedClassifier', 'await_plan', 'build_quantized']
