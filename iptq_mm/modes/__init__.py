"""The modes in which a region runs: one set of rules, four meanings."""

from .analysing import Analysing
from .base import Mode
from .fake import Fake
from .integer import Integer, Saturation
from .observing import Observing
from .region import Region, bind, bound_region, regions_in, running, unbind

__all__ = [
    'Analysing',
    'Fake',
    'Integer',
    'Mode',
    'Observing',
    'Region',
    'Saturation',
    'bind',
    'bound_region',
    'regions_in',
    'running',
    'unbind',
]
