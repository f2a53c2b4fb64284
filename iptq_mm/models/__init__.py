"""Quantized modules in configs, and converters of public checkpoints."""

from .quantized import await_plan, build_quantized

__all__ = ['await_plan', 'build_quantized']
