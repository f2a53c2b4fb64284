"""How large the codes of weights are, and the factors of their groups."""

from __future__ import annotations

#: Largest factor of a group, and largest magnitude of a factor times a code.
FACTOR, PRODUCT = 16, 127


def most_code(bits: int) -> int:
    """The largest magnitude of a code of so many bits."""
    return int(2 ** (bits - 1) - 1)


def most_factor(bits: int) -> int:
    """The largest factor of codes of so many bits, see ``rounding.groups``."""
    return min(FACTOR, PRODUCT // most_code(bits))


def factor_bits(bits: int) -> int:
    """Bits of a group's factor beside codes of so many bits."""
    return (most_factor(bits) - 1).bit_length()
