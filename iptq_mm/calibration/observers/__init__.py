"""Observers: which range a quantizer covers, one way a file."""

from .base import Observer
from .ema import EMAObserver
from .histogram import HistogramObserver
from .minmax import MinMaxObserver
from .mse import MSEObserver
from .percentile import PercentileObserver
from .samples import Samples, quantizers

__all__ = [
    'EMAObserver',
    'HistogramObserver',
    'MSEObserver',
    'MinMaxObserver',
    'Observer',
    'PercentileObserver',
    'Samples',
    'quantizers',
]
