"""Ranges around ReLU, which does not requantize: its output has its input's scale."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..intmath import QParams
from ..record import RegionRecord
from ..statistics import Statistics

#: Largest magnitude of an operand of ReLU: 16 bits.
_LIMIT = 2**15 - 1


class Rectified:
    """The ReLUs of a region.

    If ReLU is the only consumer of a value, the value gets the scale that suits the
    *result* of the ReLU, so that all codes of the result are positive levels. A value
    with other consumers has a scale of its own, with the bits of wide values, which
    the result of the ReLU takes over.

    Attributes:
        operands: By value whose only consumers are ReLUs, the sites of these ReLUs.
        alone: All sites in ``operands``.
        beside: Sites of the other ReLUs.

    Args:
        record: What calibration saw.
        uses: By value, its consuming sites, and which of their operands it is.
        decided: Values whose quantizers are given.
    """

    def __init__(
        self,
        record: RegionRecord,
        uses: Mapping[str, Sequence[tuple[str, int]]],
        decided: Collection[str] = (),
    ) -> None:
        self.operands = {
            name: [site for site, _ in users]
            for name, users in uses.items()
            if users
            and name not in record.outputs
            and name not in decided
            and all(record.operations[site] == 'relu' for site, _ in users)
        }
        self.alone = {site for sites in self.operands.values() for site in sites}
        relus = {site for site, kind in record.operations.items() if kind == 'relu'}
        self.beside = relus - self.alone


def before_relu(seen: Statistics, results: Sequence[QParams]) -> QParams:
    """The quantizer of a value whose only consumers are ReLUs.

    Args:
        seen: Statistics of the value.
        results: Quantizers that the results of the ReLUs would have by themselves.

    Returns:
        The coarsest scale of ``results``, and a range that holds the negative part.
    """
    scale = max(q.scale for q in results)
    low, high = round(seen.minimum / scale), round(seen.maximum / scale)
    most = max(high, *(q.qmax for q in results))
    return QParams(scale, max(min(low, 0), -_LIMIT), min(most, _LIMIT))


def after_relu(own: QParams, scale: float) -> QParams:
    """The quantizer of a ReLU's result.

    Args:
        own: The quantizer that it would have by itself.
        scale: Scale of the operand, which the result keeps.
    """
    high = round(own.qmax * own.scale / scale)
    return QParams(scale, 0, min(max(high, 1), own.qmax))
