"""The phases observe, analyse, assign and freeze, and what they need."""

from . import equalization, observers  # noqa: F401  (fill the registries)
from .config import ConfigError, QuantizationConfig
from .derived import check_derived, forget_caches
from .equalize import channel_ranges, equalize
from .fold_batch_norm import fold_batch_norm
from .fold_normalization import fold_normalization
from .freeze import PLAN_KEY, install
from .phases import analyse, assign, check_observed, check_regions, observe
from .range_search import choose_ranges, search_ranges
from .regions import expanded
from .weights import freeze_regions, measure, wants_inputs

__all__ = [
    'PLAN_KEY',
    'ConfigError',
    'QuantizationConfig',
    'analyse',
    'assign',
    'channel_ranges',
    'check_derived',
    'check_observed',
    'check_regions',
    'choose_ranges',
    'equalize',
    'expanded',
    'fold_batch_norm',
    'fold_normalization',
    'forget_caches',
    'freeze_regions',
    'install',
    'measure',
    'observe',
    'search_ranges',
    'wants_inputs',
]
