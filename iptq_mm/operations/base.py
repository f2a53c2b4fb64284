"""The interface of a semantic operation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..functions import Constants, IntegerFunction
from ..intmath import QParams
from ..intmath.dyadic import Dyadic, dyadic

#: Roles of an operand. They decide the bits of a parameter.
ACTIVATION = 'activation'
WEIGHT = 'weight'
#: A weight with a row of its own for each place that an input spreads to.
TRANSPOSED = 'transposed weight'
BIAS = 'bias'
NORM = 'norm'
TABLE = 'table'
#: Parameters with one scale for each output.
WEIGHTS = (WEIGHT, TRANSPOSED)


@dataclass(frozen=True)
class SiteInputs:
    """What an operation may know when its constants are made.

    Attributes:
        payloads: Integers of the operands; None where an optional one is
            missing. Only the *values* of parameters may be used.
        qparams: What they stand for, in the same order.
        out: Quantizer of the output.
        attributes: Arguments of the operation.
        terms: :meth:`Operation.signature` of the operands.
        function: Integer function, at non-linear sites.
        saved: Its constants, if the plan has them.
    """

    payloads: Sequence[Tensor | None]
    qparams: Sequence[Any]
    out: QParams
    attributes: dict[str, Any]
    terms: int = 0
    function: IntegerFunction | None = None
    saved: Constants | None = None

    def real(self, index: int) -> Tensor | None:
        """A parameter's real values in float64, None if it is missing."""
        payload = self.payloads[index]
        if payload is None or payload.is_floating_point():  # a float mode's
            return payload if payload is None else payload.double()
        return payload.double() * self.qparams[index].scale


class Operation(ABC):
    """One kind of computation.

    Attributes:
        kind: Its word in site names.
        roles: Role of each operand; the last one repeats.
    """

    kind: ClassVar[str]
    roles: ClassVar[tuple[str, ...]] = (ACTIVATION,)

    def role(self, index: int) -> str:
        """The role of operand ``index``."""
        return self.roles[min(index, len(self.roles) - 1)]

    def signature(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> int:
        """What of the operands' shapes the constants depend on, as a number."""
        return 0

    @abstractmethod
    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """The operation on real (float) tensors."""

    @abstractmethod
    def prepare(self, site: SiteInputs) -> Constants:
        """The integer constants of the site.

        Raises:
            OverflowError: If an intermediate could leave its type.
        """

    @abstractmethod
    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """The operation on integers.

        Returns:
            int32 or int64 at the scale of the output, not saturated.
        """


def common_dyadic(
    ratios: Sequence[float], bounds: Sequence[int]
) -> tuple[list[int], int]:
    """Multipliers of two ratios over one power of two: a sum then needs one rounding.

    A multiplier is off by at most half of ``2**-shift``, and so, of operands up to
    ``bounds``, is their sum before it is rounded by at most
    ``sum(bounds) / 2**(shift + 1)`` steps. The larger one has up to 31 bits, as
    kernels of 32-bit factors want it. Where that leaves the sum 1/32 of a step off or
    more, as for operands of 4 and 16 bits, ``2**shift`` is raised above
    ``16 * sum(bounds)``: less than 1/32 of a step for all operands of up to 17 bits
    whose largest sum is below ``2**40`` steps. Beyond, 64 bits may not do, and the
    multipliers of up to 31 bits stay.

    Args:
        ratios: Output steps that a step of each operand is.
        bounds: Largest magnitudes of the operands.

    Returns:
        The multipliers and the shift, 1 to 62. The sum of the largest products, its
        rounding included, is below ``2**63``.

    Raises:
        OverflowError: If a ratio is so large that not even a product fits 64 bits.
    """
    bits = max(bounds).bit_length() + 2  # a sign, and a sum of two
    shift = int(dyadic(max(ratios, key=abs), bits).shift)
    enough = min(62, sum(bounds).bit_length() + 4)
    largest = sum(abs(r) * bound for r, bound in zip(ratios, bounds, strict=True))
    if shift < enough and largest < 2.0 ** (62 - enough):
        shift = enough
    return [round(ratio * 2.0**shift) for ratio in ratios], shift


def check_int64(bound: int, what: str) -> int:
    """Bits, sign included, of integers up to ``bound``, at least 32.

    Raises:
        OverflowError: If they leave too few of 64 bits to a multiplier.
    """
    bits = bound.bit_length() + 1
    if bits > 47:
        raise OverflowError(f'{what} may reach {bound}, which 47 bits do not hold')
    return max(bits, 32)


def check_int32(bound: int, what: str) -> None:
    """Raise OverflowError unless ``bound`` fits 32 bits."""
    if bound >= 2**31:
        raise OverflowError(f'{what} may reach {bound}, which 32 bits do not hold')


__all__ = [
    'ACTIVATION',
    'BIAS',
    'NORM',
    'TABLE',
    'TRANSPOSED',
    'WEIGHT',
    'WEIGHTS',
    'Constants',
    'Dyadic',
    'Operation',
    'SiteInputs',
    'check_int32',
    'check_int64',
    'common_dyadic',
]
