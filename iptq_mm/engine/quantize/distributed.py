"""Merges the findings of all ranks into those that a single process would make.

A rank holds its own findings, the merged ones, and those of one other rank: each in its
turn gives its own to all. So the memory of a rank does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from mmengine import dist
from torch import Tensor
from torch.utils._pytree import tree_map_only

from ...calibration.equalization.ranging import Ranges
from ...record import RegionRecord
from ...utils.exact_sum import Sums, merge_sums

Records = dict[str, RegionRecord]

_Found = TypeVar('_Found')


def in_turn(mine: _Found) -> Iterator[_Found]:
    """What each rank has, one after the other, in the order of the ranks.

    Ranks saw consecutive parts of the images, hence the order of a single process is
    kept.

    Args:
        mine: What this rank has. It must not change before its turn has come.
    """
    rank, ranks = dist.get_dist_info()
    for source in range(ranks):
        box = [mine if source == rank else None]
        if ranks > 1:
            dist.broadcast_object_list(box, source)
        yield box[0]  # type: ignore[misc]


def merged(records: Records) -> Records:
    """The records of all ranks merged, the same on every rank."""
    turns = in_turn(records)
    found = next(turns)
    for other in turns:
        for name, record in other.items():
            found[name].merge(record)
    return found


def merged_ranges(ranges: dict[str, Ranges]) -> dict[str, Ranges]:
    """The ranges of all ranks merged, the same on every rank."""
    turns = in_turn(ranges)
    found = next(turns)
    for other in turns:
        for name, region in other.items():
            found[name].merge(region)
    return found


def merged_sums(sums: dict[str, Sums]) -> dict[str, Sums]:
    """Sums of all ranks by region, the same on every rank."""
    turns = in_turn(sums)
    found = next(turns)
    for other in turns:
        for name, region in other.items():
            merge_sums(found[name], region)
    return found


#: What an analysis leaves in a record.
_ANALYSED = ('candidates', 'constants', 'refused', 'rows')


def merge_analysed(records: Records) -> None:
    """Give the records what the analysis has found on all ranks, in place."""
    if dist.get_world_size() == 1:
        return
    mine = {}
    for name, record in records.items():
        found = {key: getattr(record, key) for key in _ANALYSED}
        mine[name] = RegionRecord(**tree_map_only(Tensor, Tensor.cpu, found))
        for key in _ANALYSED:
            setattr(record, key, {})
    for other in in_turn(mine):
        for name, found_there in other.items():
            records[name].merge(found_there)
