"""What held-out images say about the agreement of an integer model with its float one.

Plain statistics, exact and free of assumptions about distributions: images are drawn
independently from where those of the evaluation come from, and nothing else is asked.
"""

from .alarm import FlagAlarm, flag_alarm
from .answers import Answers
from .bounds import images_needed, largest_rate, smallest_rate, tail
from .certificate import Guarantee
from .thresholds import certified_from, estimated_from, threshold_grid

__all__ = [
    'Answers',
    'FlagAlarm',
    'Guarantee',
    'certified_from',
    'estimated_from',
    'flag_alarm',
    'images_needed',
    'largest_rate',
    'smallest_rate',
    'tail',
    'threshold_grid',
]
