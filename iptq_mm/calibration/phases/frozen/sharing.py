"""How the ranks share the rounding of a region's weights.

Each weight has one rank that rounds it, its *owner*. No other rank needs the second
moments of the weight's inputs, which are by far the largest findings of calibration.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from mmengine import dist

from ....moments import check_sums
from ....operations import WEIGHTS
from ....plan import RegionPlan
from ..measure_mode import Inputs, InputsByWeight

#: Elements that are exchanged at once: 16 MiB of float64.
_AT_ONCE = 2**21


def rounds_of(
    plan: RegionPlan, features: Mapping[str, int], ranks: int
) -> list[list[str]]:
    """The weights of a region that the ranks round at the same time.

    Weights go by falling cost, so that those of one round take about as long. The rank
    that owns a weight is its position in its round.

    Args:
        plan: Of the region.
        features: By weight, how many inputs of an output channel were measured.
        ranks: How many ranks there are.
    """
    costs = {n: cost_of(plan, n, k) for n, k in features.items()}
    order = sorted(costs, key=lambda name: (-costs[name], name))
    return [order[i : i + ranks] for i in range(0, len(order), ranks)]


def features_of(plan: RegionPlan, inputs: InputsByWeight) -> dict[str, int]:
    """How many inputs each weight has whose inputs were measured.

    Args:
        plan: Of the region.
        inputs: What was measured, on all ranks.
    """
    counts = {key: seen.moments.count for key, seen in inputs.items()}
    sizes = {name: seen.moments.features for (name, _), seen in inputs.items()}
    return measured_weights(plan, sizes, counts)


def measured_weights(
    plan: RegionPlan, sizes: Mapping[str, int], counts: Mapping[tuple[str, float], int]
) -> dict[str, int]:
    """The weights of the plan that have inputs, with the number of these.

    Args:
        plan: Of the region.
        sizes: Inputs of an output channel, by name.
        counts: Rows that were measured, by name and scale.
    """
    seen = {name for (name, _), count in counts.items() if count}
    return {
        name: sizes[name]
        for name, parameter in plan.parameters.items()
        if parameter.role in WEIGHTS and name in seen
    }


def cost_of(plan: RegionPlan, name: str, features: int) -> float:
    """In proportion to the time that rounding takes: products with the moments."""
    return float(math.prod(plan.parameters[name].shape)) * features


def reduce_inputs(plan: RegionPlan, inputs: InputsByWeight) -> None:
    """Add up what all ranks measured in a region, in place.

    All sums are integers that float64 holds, so that their order plays no role. Each
    sum is exchanged in its place, tensor by tensor: a rank needs the memory of its own
    moments and 16 MiB, whatever the number of ranks. Afterwards only the owner of a
    weight has its second moments.

    Args:
        plan: Of the region.
        inputs: What this rank measured; the same sums of all ranks afterwards.

    Raises:
        OverflowError: If a sum exceeds the integers of float64; on every rank.
    """
    rank, ranks = dist.get_dist_info()
    if ranks == 1:
        return
    mine = [(k, s.moments.features, s.moments.count) for k, s in inputs.items()]
    # Images of some ranks alone may reach a head, or a level of it. First come the
    # keys of the first rank, as if one process had seen all images in order.
    gathered = [found for each in dist.all_gather_object(mine) for found in each]
    features = {key: size for key, size, _ in gathered}
    counts: Counter[tuple[str, float]] = Counter()
    for key, _, count in gathered:
        counts[key] += count
    sizes = {name: features[name, scale] for name, scale in features}
    rounds = rounds_of(plan, measured_weights(plan, sizes, counts), ranks)
    owners = {name: i for each in rounds for i, name in enumerate(each)}
    for key, size in features.items():
        # Taken out and put back: the order of the keys is the same on all ranks.
        seen = inputs.pop(key, None) or Inputs(size, key[1])
        inputs[key], seen.moments.count = seen, counts[key]
        moments = seen.moments
        for tensor in (moments.sum, seen.fine, moments.second):
            for part in tensor.view(-1).split(_AT_ONCE):
                dist.all_reduce(part)
        check_sums(moments.second.diagonal(), moments.count)
        if owners.get(key[0]) != rank:
            moments.forget_second()
