"""Statistics of the values at a site.

They depend neither on the order of the values nor on how these are distributed among
batches and ranks. The exception is :attr:`Statistics.extremes`, a list with one entry
per call, which moving averages need.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .histogram import Histogram


class NotFiniteError(ValueError):
    """NaN or infinity in weights or activations."""


class Statistics:
    """Range, histogram and number of the values at a site.

    Attributes:
        minimum: Smallest value, ``inf`` before the first.
        maximum: Largest value, ``-inf`` before the first.
        count: Number of values.
        histogram: Their histogram.
        extremes: (minimum, maximum) of each call of :meth:`update`, in order.
        channels: Whether ranges are also kept by channel (last dimension).
        channel_minimum: float32 on the CPU, shape (C,); None without channels
            or before the first value.
        channel_maximum: As ``channel_minimum``.
    """

    def __init__(self, channels: bool = False) -> None:
        self.minimum = math.inf
        self.maximum = -math.inf
        self.count = 0
        self.histogram = Histogram()
        self.extremes: list[tuple[float, float]] = []
        self.channels = channels
        self.channel_minimum: Tensor | None = None
        self.channel_maximum: Tensor | None = None

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Add the values of a tensor.

        Args:
            x: Real values, any shape and device, counted as float32; the last
                dimension is the channel. An empty tensor changes nothing.

        Raises:
            NotFiniteError: If a value is NaN or infinite.
            ValueError: If the number of channels differs from that of earlier
                calls.
        """
        if x.numel() == 0:
            return
        x = x.detach().to(torch.float32)
        if self.channels:
            rows = x.reshape(-1, x.shape[-1])
            # + 0.0 turns -0.0 into 0.0, of which amin and amax return either.
            lows, highs = rows.amin(0) + 0.0, rows.amax(0) + 0.0
            extremes = torch.stack([lows.amin(), highs.amax()])
            x = x.reshape(-1)
        else:
            x = _flat(x)
            extremes = torch.stack(torch.aminmax(x)) + 0.0
        low, high = extremes.tolist()  # one synchronization on a GPU, not two
        if not (math.isfinite(low) and math.isfinite(high)):
            raise NotFiniteError(
                f'calibration meets values from {low} to {high}: check the weights '
                'and the input images for NaN and infinity, and that no float16 '
                'autocast is on'
            )
        if self.channels:
            self._update_channels(lows.cpu(), highs.cpu())
        self.minimum = min(self.minimum, low)
        self.maximum = max(self.maximum, high)
        self.count += x.numel()
        self.extremes.append((low, high))
        self.histogram.add(x, low, high)

    def merge(self, other: Statistics) -> None:
        """Add the statistics of ``other``, in place and exactly.

        Raises:
            ValueError: If only one of the two keeps channels, or their numbers
                differ.
        """
        if self.channels != other.channels:
            raise ValueError('statistics with and without channels do not merge')
        if other.channel_minimum is not None and other.channel_maximum is not None:
            self._update_channels(other.channel_minimum, other.channel_maximum)
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.count += other.count
        self.extremes = self.extremes + other.extremes
        self.histogram.merge(other.histogram)

    def bins(self) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`Histogram.bins` with the edges clipped to the observed range."""
        lower, upper, counts = self.histogram.bins()
        low, high = self.minimum, self.maximum
        return lower.clamp(low, high), upper.clamp(low, high), counts

    def samples(self) -> tuple[Tensor, Tensor]:
        """Representative values, and the number of values that each represents.

        Returns:
            Centres of the non-empty bins, clipped to the observed range,
            and their counts: float64, shape (n,), n at most ``BINS``.
        """
        lower, upper, counts = self.histogram.bins()
        centres = (lower + upper) / 2
        return centres.clamp(self.minimum, self.maximum), counts

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors, for ``torch.load(weights_only=True)``."""
        extremes = torch.tensor(self.extremes, dtype=torch.float64)
        return {
            'minimum': self.minimum,
            'maximum': self.maximum,
            'count': self.count,
            'exponent': self.histogram.exponent,
            'counts': self.histogram.counts.clone(),
            'extremes': extremes.reshape(-1, 2),
            'channels': self.channels,
            'channel_minimum': self.channel_minimum,
            'channel_maximum': self.channel_maximum,
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Statistics:
        """Inverse of :meth:`state_dict`."""
        self = cls(channels=state['channels'])
        self.minimum = state['minimum']
        self.maximum = state['maximum']
        self.count = state['count']
        self.histogram.exponent = state['exponent']
        self.histogram.counts = state['counts'].clone()
        self.extremes = [(low, high) for low, high in state['extremes'].tolist()]
        self.channel_minimum = state['channel_minimum']
        self.channel_maximum = state['channel_maximum']
        return self

    def _update_channels(self, lows: Tensor, highs: Tensor) -> None:
        if self.channel_minimum is None or self.channel_maximum is None:
            self.channel_minimum, self.channel_maximum = lows, highs
            return
        if lows.shape != self.channel_minimum.shape:
            raise ValueError(
                f'a site of {self.channel_minimum.numel()} channels got values '
                f'of {lows.numel()}'
            )
        self.channel_minimum = torch.minimum(self.channel_minimum, lows)
        self.channel_maximum = torch.maximum(self.channel_maximum, highs)


def _flat(x: Tensor) -> Tensor:
    """All values in memory order, so that a transposed tensor needs no copy."""
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    return x.permute(order).reshape(-1)
