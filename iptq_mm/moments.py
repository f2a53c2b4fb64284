"""First and second moments of the inputs of a linear layer.

They determine the squared error of the layer's output for every rounding of its weight
(:mod:`iptq_mm.rounding.quadratic`), and their size does not depend on the number of
images.

The sums are sums of integers and exact. They depend neither on the order of the inputs
nor on how these are distributed among batches and ranks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .intmath.gram import gram
from .intmath.product import FLOAT64_EXACT


class Moments:
    """Sums of ``x`` and ``x x^T`` over the inputs of a layer, ``x = scale * q``.

    Attributes:
        scale: Scale of the integers.
        count: Number of rows, each counted as often as its weight says.
        sum: Sum of ``q``, exact integers in float64 on the CPU, shape (K,).
        second: Sum of ``q q^T``, as ``sum``, shape (K, K); (0, 0) once it is forgotten.
    """

    def __init__(self, features: int, scale: float) -> None:
        """Start with empty sums.

        Args:
            features: K, the number of inputs of one output channel.
            scale: Scale of the integers; positive and finite.

        Raises:
            ValueError: If one of them is out of range.
        """
        if features < 1:
            raise ValueError(f'a layer has inputs: {features} features cannot be')
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f'a scale is positive and finite, not {scale}')
        self.scale = float(scale)
        self.count = 0
        self.sum = torch.zeros(features, dtype=torch.float64)
        self.second = torch.zeros(features, features, dtype=torch.float64)

    @property
    def features(self) -> int:
        """K, the number of inputs of one output channel."""
        return len(self.sum)

    @torch.no_grad()
    def update(self, q: Tensor, weights: Tensor | None = None) -> None:
        """Add a batch of inputs.

        Args:
            q: Integers within 16 bits, any device, shape (..., K). An empty
                tensor changes nothing.
            weights: How often each row counts, integers of 0 or more, one per
                row. None: once.

        Raises:
            ValueError: If the inputs are not integers of 16 bits, or not K in a row.
            OverflowError: If a sum would exceed the integers that float64 holds
                exactly. The moments are unchanged then.
        """
        if q.is_floating_point() or q.is_complex() or q.dtype == torch.bool:
            raise ValueError(f'moments are of integers, not of {q.dtype}')
        if q.ndim == 0 or q.shape[-1] != self.features:
            raise ValueError(
                f'rows of {self.features} inputs are wanted, not the shape '
                f'{tuple(q.shape)}'
            )
        rows = q.reshape(-1, self.features)
        if not len(rows):
            return
        weights = None if weights is None else weights.long()
        count = len(rows) if weights is None else int(weights.sum())
        self._add(count, *gram(rows, weights))

    def merge(self, other: Moments) -> None:
        """Add the sums of ``other``, in place and exactly.

        Raises:
            ValueError: If its features or scale are others.
            OverflowError: As in :meth:`update`.
        """
        known = self.features, self.scale, self.has_second
        if (other.features, other.scale, other.has_second) != known:
            raise ValueError(
                f'moments of {other.features} inputs at scale {other.scale} do not '
                f'add to those of {self.features} at scale {self.scale}'
            )
        self._add(other.count, other.sum, other.second)

    def _add(self, count: int, total: Tensor, squares: Tensor) -> None:
        if self.has_second:
            check_sums(squares.diagonal() + self.second.diagonal(), self.count + count)
        self.count += count
        self.sum += total
        self.second += squares

    @property
    def has_second(self) -> bool:
        """Whether there are second moments; the mean needs none."""
        return bool(self.second.numel())

    def forget_second(self) -> None:
        """Free the memory of the second moments; ``count`` and ``sum`` stay."""
        self.second = self.second.new_zeros(0, 0)

    @property
    def mean(self) -> Tensor:
        """``E[x]`` in real units, float64, shape (K,).

        Raises:
            ValueError: If nothing was seen.
        """
        return self.scale * self._mean()

    @property
    def second_moment(self) -> Tensor:
        """``E[x x^T]`` in real units, float64, shape (K, K).

        Raises:
            ValueError: If nothing was seen.
        """
        self._mean()
        return self.scale**2 * (self.second / self.count)

    @property
    def covariance(self) -> Tensor:
        """``E[x x^T] - E[x] E[x]^T`` in real units, float64, shape (K, K).

        The variance of an input that never changes is exactly 0.

        Raises:
            ValueError: If nothing was seen.
        """
        mean = self._mean()
        return self.scale**2 * (self.second / self.count - torch.outer(mean, mean))

    def _mean(self) -> Tensor:
        if not self.count:
            raise ValueError('no input was seen: run calibration images first')
        return self.sum / self.count

    def state_dict(self) -> dict[str, Any]:
        """Numbers and tensors, for ``torch.save``."""
        return {
            'scale': self.scale,
            'count': self.count,
            'sum': self.sum,
            'second': self.second,
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Moments:
        """Inverse of :meth:`state_dict`.

        Raises:
            ValueError: If shapes do not fit together.
        """
        self = cls(len(state['sum']), state['scale'])
        if not state['second'].numel():
            self.forget_second()
        if state['second'].shape != self.second.shape:
            raise ValueError(
                f'second moments of {self.features} inputs cannot have the shape '
                f'{tuple(state["second"].shape)}: the file is damaged'
            )
        self._add(int(state['count']), state['sum'], state['second'])
        return self


def check_sums(squares: Tensor, count: int) -> None:
    """Make sure that the sums of moments are exact.

    ``|sum q_i| <= sum q_i**2``, and ``|sum q_i q_j|`` is at most the larger of both
    sums of squares: these bound everything.

    Args:
        squares: Sum of ``q**2`` of each input.
        count: Rows that are summed, for the message.

    Raises:
        OverflowError: If float64 does not hold all integers up to there.
    """
    largest = squares.max().item()
    if largest >= FLOAT64_EXACT:
        raise OverflowError(
            f'the squares of {count} inputs sum up to {largest:.3g}, '
            'beyond the integers of float64: calibrate on fewer images or '
            'quantize the inputs of this layer to fewer bits'
        )
