"""Regions that exchange integers: the consumer takes over the producer's quantizer.

Producer and consumer then agree on the scale of the integers between them, and nothing
is requantized on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..intmath import QParams
from ..plan import RegionPlan
from ..record import RegionRecord


def producers_first(
    records: Mapping[str, RegionRecord],
) -> Iterator[tuple[str, RegionRecord]]:
    """Names and records of regions, each after the regions whose outputs it consumes.

    Regions that consume each other's outputs come in the given order.
    """
    left = dict(records)
    while left:
        ready = [n for n, r in left.items() if not _producers(r) & left.keys() - {n}]
        name = (ready or list(left))[0]
        yield name, left.pop(name)


def inputs_from_producers(
    record: RegionRecord, plans: Mapping[str, RegionPlan]
) -> dict[str, QParams]:
    """Quantizers of the inputs that other regions produce, by name of the input.

    Args:
        record: Of the consuming region; it knows where each input came from.
        plans: Of regions that are planned already; inputs from others are left out.
    """
    found = {}
    for name, origin in record.producers.items():
        region, value = origin or ('', '')
        if region in plans:
            site = plans[region].sites.get(value)
            found[name] = site.output if site else plans[region].inputs.get(value)
    return {name: qparams for name, qparams in found.items() if qparams is not None}


def _producers(record: RegionRecord) -> set[str]:
    return {origin[0] for origin in record.producers.values() if origin}
