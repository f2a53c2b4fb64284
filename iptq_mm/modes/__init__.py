"""The modes in which a region runs: one set of rules, four meanings."""

from .base import Mode
from .binding import bind, bound_region, regions_in, running, unbind
from .fake import Fake
from .integer import Integer, Saturation
from .region import Region

__all__ = [
    'Fake',
    'Integer',
    'Mode',
    'Region',
    'Saturation',
    'bind',
    'bound_region',
    'regions_in',
    'running',
    'unbind',
]
