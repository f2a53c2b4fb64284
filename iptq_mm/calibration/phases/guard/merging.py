"""What held-out images show joins the records once the ranges are chosen."""

from __future__ import annotations

from collections.abc import Mapping

from ....record import RegionRecord
from ....statistics import Statistics


def take_in(
    records: Mapping[str, RegionRecord], held_out: Mapping[str, RegionRecord]
) -> None:
    """Merge statistics of held-out images into the records, in place.

    Args:
        records: By region. Limits that a search found stay real limits.
        held_out: By region, of all processes.
    """
    for name, record in records.items():
        limits = {
            value: share * _reach(record.values[value])
            for value, share in record.clipping.items()
        }
        record.merge(held_out[name])
        for value, limit in limits.items():
            record.clipping[value] = limit / (_reach(record.values[value]) or 1.0)


def _reach(seen: Statistics) -> float:
    """The largest magnitude."""
    return max(-seen.minimum, seen.maximum)
