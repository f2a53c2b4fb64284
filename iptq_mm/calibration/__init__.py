"""The phases observe, analyse, assign and freeze, and what they need."""

from . import equalization, observers  # noqa: F401  (fill the registries)
from .config import ConfigError, QuantizationConfig
from .equalize import channel_ranges, equalize
from .freeze import PLAN_KEY, install
from .phases import analyse, assign, check_regions, observe
from .range_search import choose_ranges, search_ranges
from .weights import freeze_regions, measure, wants_inputs

__all__ = [
    'PLAN_KEY',
    'ConfigError',
    'QuantizationConfig',
    'analyse',
    'assign',
    'channel_ranges',
    'check_regions',
    'choose_ranges',
    'equalize',
    'freeze_regions',
    'install',
    'measure',
    'observe',
    'search_ranges',
    'wants_inputs',
]
