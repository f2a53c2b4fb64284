"""Figures of a run for programs that show models and runs."""

from .explorer import write_node_data
from .visualizer import show

__all__ = ['show', 'write_node_data']
