"""Merges the records of all ranks into those that a single process would make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mmengine import dist
from torch import Tensor
from torch.utils._pytree import tree_map_only

from ...calibration.equalization.ranging import Ranges
from ...calibration.phases.search import Effects
from ...criteria import CandidateErrors
from ...record import RegionRecord

Records = dict[str, RegionRecord]
#: Errors by region, site and candidate.
Errors = dict[str, dict[str, dict[str, CandidateErrors]]]


def merged(records: Records) -> Records:
    """The records of all ranks merged, the same on every rank.

    Ranks saw consecutive parts of the images, hence the order of a single
    process is kept.
    """
    if dist.get_world_size() == 1:
        return records
    gathered = dist.all_gather_object(records)
    for other in gathered[1:]:
        for name, record in other.items():
            gathered[0][name].merge(record)
    return gathered[0]


def merged_ranges(ranges: dict[str, Ranges]) -> dict[str, Ranges]:
    """The ranges of all ranks merged, the same on every rank."""
    for other in dist.all_gather_object(ranges):
        for name, region in other.items():
            ranges[name].merge(region)
    return ranges


def merged_effects(effects: list[Effects]) -> dict[str, list[dict[str, Tensor]]]:
    """By region, the effects of all batches of all ranks, in their order."""
    batches = [b for rank in dist.all_gather_object(effects) for b in rank]
    names = batches[0] if batches else ()
    return {name: [batch[name] for batch in batches] for name in names}


class BatchErrors:
    """Keeps the errors of the candidates by batch.

    Sums of floats depend on their order. Errors are added up batch by batch, in the
    order of the batches, so that the sums do not depend on the number of ranks.

    Args:
        records: Where the analysis leaves the errors of the running batch.
    """

    def __init__(self, records: Records) -> None:
        self.records = records
        self.batches: list[Errors] = []

    def each(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Go through batches; errors are taken out after each."""
        for batch in batches:
            yield batch
            self.batches.append({n: r.candidates for n, r in self.records.items()})
            for record in self.records.values():
                record.candidates = {}

    def merge(self) -> None:
        """Put the sums over all batches of all ranks into the records."""
        rest = {n: (r.constants, r.refused, r.rows) for n, r in self.records.items()}
        mine = tree_map_only(Tensor, Tensor.cpu, (self.batches, rest))
        for record in self.records.values():
            record.candidates, record.constants = {}, {}
            record.refused, record.rows = {}, {}
        for batches, others in dist.all_gather_object(mine):
            for batch in batches:
                for name, candidates in batch.items():
                    self.records[name].merge(RegionRecord(candidates=candidates))
            for name, (constants, refused, rows) in others.items():
                other = RegionRecord(constants=constants, refused=refused, rows=rows)
                self.records[name].merge(other)
