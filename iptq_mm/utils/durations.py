"""Times in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time in words.

    Example::

        >>> duration(59), duration(150), duration(61200)
        ('59 s', '2 min 30 s', '17 h 0 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    minutes, left = divmod(whole, 60)
    if minutes < 60:
        return f'{minutes} min {left} s'
    return f'{minutes // 60} h {minutes % 60} min'
