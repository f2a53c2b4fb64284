"""ReLU keeps the scale of its operand: what that means for ranges."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..intmath import QParams
from ..record import RegionRecord
from ..statistics import Statistics

#: Largest magnitude of what ReLU takes: 16 bits.
_LIMIT = 2**15 - 1


class Rectified:
    """The ReLUs of a region.

    A value that only ReLU uses is made at the scale that suits the *result*, so that
    all codes of that are positive. One that others use, too, has a scale of its own,
    with the bits of wide values, and ReLU takes that over.

    Attributes:
        operands: By value that only ReLU uses, the sites of these.
        alone: Those sites.
        beside: The other ReLUs.

    Args:
        record: What calibration saw.
        uses: By value, the sites that use it and as which operand.
        decided: Values whose quantizers are what they are.
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
    """The quantizer of a value that only ReLU uses.

    Args:
        seen: The values.
        results: What the results of the ReLUs would have by themselves.

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
        own: What it would have by itself.
        scale: Of the operand.
    """
    high = round(own.qmax * own.scale / scale)
    return QParams(scale, 0, min(max(high, 1), own.qmax))
