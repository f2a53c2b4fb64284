"""Pictures of detections side by side, and of the chosen functions."""

from .assignment import plot_assignment
from .detections import side_by_side

__all__ = ['plot_assignment', 'side_by_side']
