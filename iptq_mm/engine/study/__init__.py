"""A study of the criteria: do their scores predict the measured degradation?"""

from .measurements import Measurement, Measurements
from .rank_correlation import fractional_ranks, spearman
from .what_if import WhatIf

__all__ = ['Measurement', 'Measurements', 'WhatIf', 'fractional_ranks', 'spearman']
