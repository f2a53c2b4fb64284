"""What is known of values where a row has its maximum, as exponentials are."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from .collective import looked_up
from .elementwise import ELEMENTWISE, SAME_ORDER, combined
from .facts import Facts, Peak, shape_of
from .interval import Interval
from .patterns import row_maximum, same

_aten = torch.ops.aten


def peak_of(facts: Facts, node: fx.Node, interval: Interval) -> Peak | None:
    """What is known of a result where a row has its maximum.

    The places are those of the elements in order, so that reshaping keeps them.

    Args:
        facts: Of the operands.
        node: The call.
        interval: Holds all of its result.
    """
    if node.target == _aten.sub.Tensor:
        for most, x in ((0, 1), (1, 0)):
            if same(row_maximum(node.args[most]), node.args[x]):
                return Peak(node, Interval.point(0))
    peaks = {x: p for x in node.all_input_nodes if (p := facts.peak(x)) is not None}
    sources = {peak.source for peak in peaks.values()}
    if len(sources) != 1:
        return None
    (source,) = sources
    if node.target in SAME_ORDER:
        (peak,) = peaks.values()
        return peak
    if any(shape_of(x) != shape_of(node) for x in peaks):
        return None

    def there(x: Any) -> Interval:
        return peaks[x].interval if x in peaks else facts.interval(x)

    if node.target in ELEMENTWISE:
        return Peak(source, combined(node, there).meet(interval))
    if node.target == _aten.index_select.default:
        table, dim, index = _looked_up_in(node)
        if index in peaks:
            size = shape_of(table)[dim]
            return Peak(source, looked_up(facts[table], size, there(index), dim))
    return None


def _looked_up_in(node: fx.Node) -> tuple[Any, Any, Any]:
    table, dim, index = node.args
    return table, dim, index
