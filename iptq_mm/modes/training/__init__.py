"""Training on integers: real integers forward, straight-through gradients backward."""

from .install import begin_training, end_training, keep_constants
from .mode import Training

__all__ = ['Training', 'begin_training', 'end_training', 'keep_constants']
