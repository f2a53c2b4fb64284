"""How the criteria relate to what functions really do to a model."""

from .measurements import Effect, Measurements
from .rank_correlation import ranks, spearman
from .what_if import WhatIf

__all__ = ['Effect', 'Measurements', 'WhatIf', 'ranks', 'spearman']
