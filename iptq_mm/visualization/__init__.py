"""Pictures of detections, of the chosen functions, of what layers do, and of fronts."""

from .assignment import TITLES, plot_assignment
from .detections import side_by_side
from .distribution import plot_histogram
from .front import plot_front
from .layers import plot_by_layer

__all__ = [
    'TITLES',
    'plot_assignment',
    'plot_by_layer',
    'plot_front',
    'plot_histogram',
    'side_by_side',
]
