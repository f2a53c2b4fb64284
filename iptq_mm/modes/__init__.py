"""Regions, and the modes in which they run: one set of rules, several interpreters.

:class:`Integer` computes the quantized model and :class:`Fake` simulates it in floats;
the modes in which calibration observes and measures stand beside its phases.
"""

from .base import Mode
from .binding import bind, bound_region, regions_in, running, unbind
from .fake import Fake
from .integer import Integer
from .region import Region

__all__ = [
    'Fake',
    'Integer',
    'Mode',
    'Region',
    'bind',
    'bound_region',
    'regions_in',
    'running',
    'unbind',
]
