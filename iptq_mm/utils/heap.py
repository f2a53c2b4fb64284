"""Freed memory that the C library keeps for later."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return freed memory to the system, where the C library is glibc.

    It keeps what a phase has freed, tensors of less than 32 MB above all, and the next
    phase, whose tensors have other sizes, takes new memory beside it.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library or system
        return
    trim(0)
