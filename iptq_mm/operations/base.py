"""The interface of operations, and helpers that make their constants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..functions import Constants, IntegerFunction
from ..intmath import QParams
from ..intmath.dyadic import Dyadic, dyadic

#: Roles of an operand; the bits of a parameter depend on its role.
ACTIVATION = 'activation'
WEIGHT = 'weight'
#: The weight of a transposed convolution: one row per output channel and position of
#: the kernel.
TRANSPOSED = 'transposed weight'
BIAS = 'bias'
NORM = 'norm'
TABLE = 'table'
EMBEDDING = 'embedding'
#: Roles of parameters with one scale per output channel.
WEIGHTS = (WEIGHT, TRANSPOSED)


@dataclass(frozen=True)
class SiteInputs:
    """What an operation is told about a site when its constants are made.

    Attributes:
        payloads: Integers of the operands; None where an optional one is
            missing. Only the *values* of parameters may be used.
        qparams: Quantizers of the operands, in the same order.
        out: Quantizer of the output.
        attributes: Other arguments of the operation, ``stride`` for instance.
        terms: :meth:`Operation.terms` of the operands.
        function: The integer function of a non-linear site.
        saved: The constants of the function, if the plan has them.
    """

    payloads: Sequence[Tensor | None]
    qparams: Sequence[Any]
    out: QParams
    attributes: dict[str, Any]
    terms: int = 0
    function: IntegerFunction | None = None
    saved: Constants | None = None

    def real(self, index: int) -> Tensor | None:
        """Real values of a parameter in float64; None if it is missing.

        Args:
            index: Position among the operands.
        """
        payload = self.payloads[index]
        if payload is None or payload.is_floating_point():  # a float mode's
            return payload if payload is None else payload.double()
        return payload.double() * self.qparams[index].scale


class Operation(ABC):
    """One kind of computation.

    Attributes:
        kind: Name of the kind, as site names have it.
        roles: Role of each operand; further operands have the last one.
        product: Whether it is linear in each of its first two operands; a third one is
            an addend, one number for each output channel.
        channels: Of a product, the dimension of the output channels.
    """

    kind: ClassVar[str]
    product: ClassVar[bool] = False
    channels: ClassVar[int] = -1
    roles: ClassVar[tuple[str, ...]] = (ACTIVATION,)

    def role(self, index: int) -> str:
        """The role of operand ``index``."""
        return self.roles[min(index, len(self.roles) - 1)]

    def terms(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> int:
        """Number of terms that each sum adds up; 0 if constants depend on no shape."""
        return 0

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """Shape of the result. By default :meth:`real` makes it, without elements.

        Args:
            shapes: Of the operands; None where an optional one is missing.
            attributes: Other arguments.
        """
        made = [s if s is None else torch.empty(s, device='meta') for s in shapes]
        return tuple(self.real(made, attributes).shape)

    @abstractmethod
    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """The float result of the operation."""

    @abstractmethod
    def prepare(self, site: SiteInputs) -> Constants:
        """The integer constants of the site.

        Raises:
            OverflowError: If an intermediate value may overflow its type.
        """

    @abstractmethod
    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """The integer result of the operation.

        Returns:
            int32 or int64 at the scale of the output, not saturated.
        """

    def gradients(
        self,
        inputs: Sequence[Any],
        attributes: dict[str, Any],
        grad: Tensor,
        wanted: Sequence[int],
    ) -> Sequence[Tensor]:
        """Gradients of the float operation, :meth:`real`.

        Args:
            inputs: Real values of the operands.
            attributes: Other arguments.
            grad: Gradient of the result.
            wanted: Positions of the operands whose gradients are returned.
        """
        leaves = list(inputs)
        for i in wanted:
            leaves[i] = inputs[i].detach().requires_grad_()
        with torch.enable_grad():
            value = self.real(leaves, attributes)
        return torch.autograd.grad(value, [leaves[i] for i in wanted], grad)


def common_dyadic(
    ratios: Sequence[float], bounds: Sequence[int]
) -> tuple[list[int], int]:
    """Multipliers of two ratios with one common shift: a sum then needs one rounding.

    With multipliers ``m``, ``(q0 * m[0] + q1 * m[1] + half) >> shift`` is the rounded
    sum of ``q0 * ratios[0]`` and ``q1 * ratios[1]``. Example::

        >>> common_dyadic([0.5, 0.3], bounds=[127, 127])
        ([1073741824, 644245094], 31)
        >>> q0, q1 = 100, 51
        >>> (q0 * 1073741824 + q1 * 644245094 + 2**30) >> 31  # 50 + 15.3
        65

    The error of a multiplier is at most half of ``2**-shift``. For operands up to
    ``bounds``, the error of the sum before rounding is hence at most
    ``sum(bounds) / 2**(shift + 1)``, in units of the output scale. The larger
    multiplier has up to 31 bits, because kernels multiply by 32-bit integers. If that
    leaves an error of 1/32 or more, as for operands of 4 and 16 bits, ``2**shift`` is
    raised above ``16 * sum(bounds)``. The error is then below 1/32 for all operands of
    up to 17 bits whose largest sum is below ``2**40``. With longer multipliers, larger
    sums may not fit 64 bits; theirs keep up to 31 bits.

    Args:
        ratios: Scale of each operand over the output scale.
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


def broadcast(
    shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
) -> tuple[int, ...]:
    """Shape of the result of an operation by element, as :meth:`Operation.shape`."""
    return tuple(torch.broadcast_shapes(*(s for s in shapes if s is not None)))


def check_int64(bound: int, what: str) -> int:
    """Bits, sign included, of integers up to ``bound``; at least 32.

    Raises:
        OverflowError: If they leave too few of the 64 bits to a multiplier.
    """
    bits = bound.bit_length() + 1
    if bits > 47:
        raise OverflowError(f'{what} may reach {bound}, which 47 bits do not hold')
    return max(bits, 32)


def check_int32(bound: int, what: str) -> None:
    """Make sure that integers up to ``bound`` fit 32 bits.

    Raises:
        OverflowError: If they do not.
    """
    if bound >= 2**31:
        raise OverflowError(f'{what} may reach {bound}, which 32 bits do not hold')


__all__ = [
    'ACTIVATION',
    'BIAS',
    'EMBEDDING',
    'NORM',
    'TABLE',
    'TRANSPOSED',
    'WEIGHT',
    'WEIGHTS',
    'Constants',
    'Dyadic',
    'Operation',
    'SiteInputs',
    'broadcast',
    'check_int32',
    'check_int64',
    'common_dyadic',
]
