"""Pictures: what the integer model sees, and what was chosen for it."""

from .assignment import plot_assignment
from .detections import side_by_side

__all__ = ['plot_assignment', 'side_by_side']
