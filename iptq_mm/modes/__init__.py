"""The modes in which a region runs: one set of rules, four meanings."""

from .analysing import Analysing
from .base import Mode
from .binding import bind, bound_region, regions_in, running, unbind
from .channels import ChannelMap, Channels
from .fake import Fake
from .gradients import Differentiating
from .integer import Integer, Saturation
from .measuring import Inputs, InputsByWeight, Measuring
from .observing import Observing
from .ranging import Ranges, Ranging
from .region import Region
from .searching import Searching

__all__ = [
    'Analysing',
    'ChannelMap',
    'Channels',
    'Differentiating',
    'Fake',
    'Inputs',
    'InputsByWeight',
    'Integer',
    'Measuring',
    'Mode',
    'Observing',
    'Ranges',
    'Ranging',
    'Region',
    'Saturation',
    'Searching',
    'bind',
    'bound_region',
    'regions_in',
    'running',
    'unbind',
]
