"""Quantizer of a weight: symmetric, with one scale for each output channel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True, eq=False)
class WeightQParams:
    """Symmetric quantizer of a weight, one scale for each output channel.

    Attributes:
        scale: float64, shape (out_channels,), along dimension 0.
        bound: Largest magnitude of an integer.
        transposed: Whether the weight is one of a transposed convolution, of shape
            (in, out, kh, kw). It then has a scale for each output channel and position
            of the kernel; see :func:`iptq_mm.patches.transposed_rows`.
    """

    scale: Tensor
    bound: int
    transposed: bool = False

    def grid(self, like: Tensor) -> Tensor:
        """The scale of each element of a weight, in a shape that broadcasts to it."""
        shape = (-1,) + (1,) * (like.dim() - 1)
        if self.transposed:
            shape = (1, *like.shape[1:])
        return self.scale.to(like.device).view(shape)

    def dequantize(self, q: Tensor) -> Tensor:
        """Real weights in float32, the shape of ``q``."""
        return (q.double() * self.grid(q)).float()

    @cached_property
    def of_rows(self) -> WeightQParams:
        """The quantizer of a transposed convolution's weight laid out as rows."""
        return WeightQParams(self.scale, self.bound)
