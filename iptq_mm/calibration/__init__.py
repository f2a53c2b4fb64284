"""Calibration: the phases from a float model to an integer one, and their config."""

from . import codes, equalization, observers  # noqa: F401  (fill the registries)
from .config import ConfigError, QuantizationConfig
from .derived import check_derived, forget_caches
from .float_modules import check_float_modules, keep_modules_float
from .inputs.given import check_given_inputs
from .phases.analyse import analyse
from .phases.assign import assign, assigned_again
from .phases.assigned.function_ranges import choose_limits, try_ranges
from .phases.assigned.recalibrate import passes, recalibrate, take_over
from .phases.equalize import channel_maps, channel_ranges, equalize
from .phases.freeze import freeze_regions
from .phases.guard.guard import guard
from .phases.guard.held_out import calls_of, observe_held_out
from .phases.guard.merging import take_in
from .phases.guard.widen import IMAGES as WIDENING_IMAGES
from .phases.guard.widen import widen
from .phases.measure import measure, wants_inputs
from .phases.observe import check_observed, observe
from .phases.reconstruct import reconstruct
from .phases.search import choose_ranges, search_ranges
from .phases.whole_model.analyse import analyse_whole_model
from .regions import check_regions, expanded
from .rewrites.fold_batch_norm import fold_batch_norm
from .rewrites.fold_normalization import fold_normalization
from .site_overrides import check_effects, check_patterns

__all__ = [
    'ConfigError',
    'QuantizationConfig',
    'WIDENING_IMAGES',
    'analyse',
    'analyse_whole_model',
    'assign',
    'assigned_again',
    'calls_of',
    'channel_maps',
    'channel_ranges',
    'check_derived',
    'check_effects',
    'check_float_modules',
    'check_given_inputs',
    'check_observed',
    'check_patterns',
    'check_regions',
    'choose_limits',
    'choose_ranges',
    'equalize',
    'expanded',
    'fold_batch_norm',
    'fold_normalization',
    'forget_caches',
    'keep_modules_float',
    'freeze_regions',
    'guard',
    'measure',
    'observe',
    'observe_held_out',
    'passes',
    'recalibrate',
    'reconstruct',
    'search_ranges',
    'take_in',
    'take_over',
    'try_ranges',
    'wants_inputs',
    'widen',
]
