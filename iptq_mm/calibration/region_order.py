"""Regions that hand integers to each other agree on what these stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..intmath import QParams
from ..plan import RegionPlan
from ..record import RegionRecord


def givers_first(
    records: Mapping[str, RegionRecord],
) -> Iterator[tuple[str, RegionRecord]]:
    """Regions in an order in which each comes after those that it takes from.

    Where they take from each other in turns, as they come.
    """
    left = dict(records)
    while left:
        ready = [n for n, r in left.items() if not _givers(r) & left.keys() - {n}]
        name = (ready or list(left))[0]
        yield name, left.pop(name)


def handed_inputs(
    record: RegionRecord, plans: Mapping[str, RegionPlan]
) -> dict[str, QParams]:
    """Quantizers of the inputs that regions with plans hand over, by name.

    Args:
        record: Of the region that takes them.
        plans: Of other regions.
    """
    found = {}
    for name, origin in record.producers.items():
        region, value = origin or ('', '')
        if region in plans:
            site = plans[region].sites.get(value)
            found[name] = site.output if site else plans[region].inputs.get(value)
    return {name: qparams for name, qparams in found.items() if qparams is not None}


def _givers(record: RegionRecord) -> set[str]:
    return {origin[0] for origin in record.producers.values() if origin}
