"""Matrix products, sums, elementwise products and concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..intmath import dyadic, requantize
from ..intmath.dyadic import Dyadic
from ..intmath.product import integer_matmul
from .base import (
    TABLE,
    Constants,
    Operation,
    SiteInputs,
    broadcast,
    check_int64,
    common_dyadic,
)


class MatMul(Operation):
    """Matrix product of two activations, as in attention."""

    kind = 'matmul'
    product = True

    def terms(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> int:
        """Number of products that each sum adds up."""
        return int(inputs[0].shape[-1])

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """See the base class."""
        a, b = shapes[0], shapes[1]
        if a is None or b is None or min(len(a), len(b)) < 2:  # a vector
            return super().shape(shapes, attributes)
        return (*torch.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return torch.matmul(*inputs)

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class."""
        a, b = site.qparams
        bound = site.terms * a.bound * b.bound
        # 16-bit probabilities of more than 258 tokens need more than 32 bits.
        bits = check_int64(bound, 'the accumulator')
        factor = dyadic(a.scale * b.scale / site.out.scale, bits)
        return {
            'bound': bound,
            'multiplier': factor.multiplier,
            'shift': factor.shift,
        }

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        accumulator = integer_matmul(inputs[0], inputs[1], constants['bound'])
        return requantize(
            accumulator, Dyadic(constants['multiplier'], constants['shift'])
        )

    def gradients(
        self,
        inputs: Sequence[Any],
        attributes: dict[str, Any],
        grad: Tensor,
        wanted: Sequence[int],
    ) -> Sequence[Tensor]:
        """See the base class; without the float product itself."""
        a, b = inputs
        if a.shape[:-2] != b.shape[:-2] or a.dim() < 2:  # sums over broadcast sizes
            return super().gradients(inputs, attributes, grad, wanted)
        both = [lambda: grad @ b.transpose(-2, -1), lambda: a.transpose(-2, -1) @ grad]
        return [both[i]() for i in wanted]


class Add(Operation):
    """Sum of two tensors, which are requantized together with one rounding.

    Before it is rounded (half up), the sum is exact up to 1/32 of the output scale; see
    :func:`~.base.common_dyadic` for the reason and the conditions.
    """

    kind = 'add'
    roles = (TABLE,)

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """See the base class."""
        return broadcast(shapes, attributes)

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return inputs[0] + inputs[1]

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class."""
        ratios = [q.scale / site.out.scale for q in site.qparams]
        bounds = [q.bound for q in site.qparams]
        (left, right), shift = common_dyadic(ratios, bounds)
        return {'left': left, 'right': right, 'shift': shift}

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        shift = constants['shift']
        total = inputs[0].long() * constants['left']
        total = total + inputs[1].long() * constants['right']
        return total.add_(1 << (shift - 1)) >> shift


class Mul(Operation):
    """Elementwise product (a layer scale, a gate)."""

    kind = 'mul'
    roles = (TABLE,)

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """See the base class."""
        return broadcast(shapes, attributes)

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return inputs[0] * inputs[1]

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class."""
        a, b = site.qparams
        bits = check_int64(a.bound * b.bound, 'the product')
        factor = dyadic(a.scale * b.scale / site.out.scale, bits)
        return {'multiplier': factor.multiplier, 'shift': factor.shift}

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        product = inputs[0].long() * inputs[1].long()
        return requantize(product, Dyadic(constants['multiplier'], constants['shift']))


class Concat(Operation):
    """Concatenation: every operand is requantized to the output scale."""

    kind = 'cat'
    roles = (TABLE,)

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return torch.cat(list(inputs), **attributes)

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class."""
        constants: Constants = {}
        for i, q in enumerate(site.qparams):
            factor = dyadic(q.scale / site.out.scale, q.bound.bit_length() + 1)
            constants[f'multiplier{i}'] = factor.multiplier
            constants[f'shift{i}'] = factor.shift
        return constants

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        parts = [
            requantize(q, Dyadic(constants[f'multiplier{i}'], constants[f'shift{i}']))
            for i, q in enumerate(inputs)
        ]
        return torch.cat(parts, **attributes)
