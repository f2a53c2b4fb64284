"""Exact bounds of a rate, from a count (Clopper and Pearson, Biometrika 26, 1934)."""

from __future__ import annotations

import math


def smallest_rate(count: int, total: int, confidence: float) -> float:
    """The lower Clopper-Pearson bound: with this confidence the rate is no smaller.

    Args:
        count: How often it happened.
        total: In how many independent trials.
        confidence: Probability with which the bound holds, whatever the rate is.

    Raises:
        ValueError: If there are no trials, or the count is none of them.

    Example::

        >>> round(smallest_rate(372, 372, 0.95), 4)  # 0.05 ** (1 / 372)
        0.992
    """
    _check(count, total)
    if count == 0:
        return 0.0
    from scipy.special import betaincinv  # the package is imported without it

    return float(betaincinv(count, total - count + 1, 1 - confidence))


def largest_rate(count: int, total: int, confidence: float) -> float:
    """The upper Clopper-Pearson bound; see :func:`smallest_rate`."""
    return 1 - smallest_rate(total - count, total, confidence)


def tail(count: int, total: int, rate: float) -> float:
    """The probability of at most ``count`` of ``total``, at this rate.

    It is the p-value of the hypothesis that the rate is larger than ``rate``.
    """
    _check(count, total)
    if count == total:
        return 1.0
    from scipy.special import bdtr

    return float(bdtr(count, total, rate))


def images_needed(agreement: float, confidence: float) -> int:
    """How many images it takes, all of which agree, to be sure of an agreement.

    Example::

        >>> images_needed(0.99, 0.95)
        299
    """
    needed = math.log(1 - confidence) / math.log(agreement)
    return math.ceil(needed - 1e-9)


def _check(count: int, total: int) -> None:
    if not 0 <= count <= total or total == 0:
        raise ValueError(f'{count} of {total} is no rate')
