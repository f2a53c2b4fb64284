"""Moved to ``iptq_mm.statistics``; this line goes when all importers have."""

from ..statistics import *  # noqa: F403
from ..statistics import _exponent, _merged  # noqa: F401
