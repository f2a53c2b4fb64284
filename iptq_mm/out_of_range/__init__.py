"""The out-of-range log: how many values a quantizer clipped, and how far outside."""

from .counting import SLOTS, count_outside, reach
from .inputs import see_image, see_input
from .record import FIT_HIGH, FIT_LOW, OutOfRange, OutOfRangeLog, fit_name
from .verdict import CalibratedRange, Departure, departures

__all__ = [
    'FIT_HIGH',
    'FIT_LOW',
    'SLOTS',
    'CalibratedRange',
    'Departure',
    'OutOfRange',
    'OutOfRangeLog',
    'count_outside',
    'departures',
    'fit_name',
    'reach',
    'see_image',
    'see_input',
]
