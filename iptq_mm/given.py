"""What calibration saw of an input that is no tensor of usual floats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class GivenInput:
    """Integers, booleans or an additive mask that a region is given.

    Attributes:
        low: Least integer.
        high: Largest integer.
        rows: Rows of the smallest table of an embedding that takes them as ids; 0: none
            does.
        read: Which functions read the numbers and have no rule for them: then they are
            no values of the region.
        mask: Whether it is an additive mask.
    """

    low: int = 0
    high: int = 1
    rows: int = 0
    read: str = ''
    mask: bool = False

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and largest integer that the region takes."""
        return (0, max(self.rows - 1, 1)) if self.rows else (self.low, self.high)

    def see(self, low: int, high: int) -> None:
        """Add the extremes of a call."""
        self.low, self.high = min(self.low, low), max(self.high, high)

    def see_rows(self, rows: int) -> None:
        """Note a table that the integers index."""
        self.rows = min(self.rows, rows) if self.rows else rows

    def merge(self, other: GivenInput) -> None:
        """Add what another process saw."""
        self.see(other.low, other.high)
        if other.rows:
            self.see_rows(other.rows)
        self.read = self.read or other.read
        self.mask |= other.mask
