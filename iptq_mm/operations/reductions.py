"""Means and maxima along dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..intmath import dyadic, requantize
from ..intmath.dyadic import Dyadic
from .base import Constants, Operation, SiteInputs, check_int64


class Reduction(Operation):
    """What makes one element of those along some dimensions."""

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """See the base class."""
        (given,) = shapes
        assert given is not None
        dims = {d % len(given) for d in attributes['dim']}
        if attributes.get('keepdim'):
            return tuple(1 if i in dims else size for i, size in enumerate(given))
        return tuple(size for i, size in enumerate(given) if i not in dims)


class Mean(Reduction):
    """Mean along dimensions: a sum, and a requantization that also divides."""

    kind = 'mean'

    def terms(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> int:
        """Number of elements of each mean."""
        return math.prod(inputs[0].shape[d] for d in attributes['dim'])

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return inputs[0].mean(**attributes)

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class."""
        (x,) = site.qparams
        bits = check_int64(site.terms * x.bound, 'the sum')
        factor = dyadic(x.scale / (site.terms * site.out.scale), bits)
        return {'multiplier': factor.multiplier, 'shift': factor.shift}

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        total = inputs[0].sum(**attributes, dtype=torch.int64)
        return requantize(total, Dyadic(constants['multiplier'], constants['shift']))


class Max(Reduction):
    """The largest element along dimensions, requantized."""

    kind = 'max'

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return inputs[0].amax(**attributes)

    def prepare(self, site: SiteInputs) -> Constants:
        """See the base class."""
        (x,) = site.qparams
        factor = dyadic(x.scale / site.out.scale, check_int64(x.bound, 'the maximum'))
        return {'multiplier': factor.multiplier, 'shift': factor.shift}

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class."""
        largest = inputs[0].amax(**attributes)
        return requantize(largest, Dyadic(constants['multiplier'], constants['shift']))
