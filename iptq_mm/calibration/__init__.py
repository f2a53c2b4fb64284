"""The phases observe, analyse, assign and freeze, and what they need."""

from . import observers  # noqa: F401  (fills the registry)
from .config import ConfigError, QuantizationConfig
from .freeze import PLAN_KEY, freeze, install
from .phases import analyse, assign, check_regions, freeze_regions, observe

__all__ = [
    'PLAN_KEY',
    'ConfigError',
    'QuantizationConfig',
    'analyse',
    'assign',
    'check_regions',
    'freeze',
    'freeze_regions',
    'install',
    'observe',
]
