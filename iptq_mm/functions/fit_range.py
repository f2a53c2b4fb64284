"""The range of inputs on which a function was fitted, kept with its constants."""

from __future__ import annotations

import math

from ..out_of_range import FIT_HIGH, FIT_LOW
from .base import Constants, FunctionSite


def fit_range(site: FunctionSite) -> Constants:
    """The constants that say on which inputs a function was fitted.

    :meth:`~.base.IntegerFunction.integer` does not use them. Inputs outside are counted
    in the :class:`~iptq_mm.out_of_range.OutOfRangeLog`: there, nothing but the form of
    the polynomial decides about the error.

    Args:
        site: The site, with samples.

    Returns:
        The smallest and the largest integer of the samples, rounded outwards, within
        the range of the quantizer.
    """
    assert site.samples is not None
    low, high = (float(end) / site.x.scale for end in site.samples.aminmax())
    return {
        FIT_LOW: min(max(math.floor(low), site.x.qmin), 0),
        FIT_HIGH: max(min(math.ceil(high), site.x.qmax), 0),
    }
