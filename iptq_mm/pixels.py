"""Images as the 8-bit integers that they are, whatever made floats of them.

Cameras and files give integers. Normalization is ``(p - mean) / std`` by channel, and
the first layer is linear: it can take the pixels themselves, with ``w / std`` as its
weights and the means in its bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .intmath import QParams

#: Pixels are centred, so that signed bytes hold them.
CENTRE = 128
#: What centred pixels stand for: themselves.
PIXEL_QPARAMS = QParams(1.0, -CENTRE, 255 - CENTRE)

_ATTRIBUTE = 'iptq_pixels'


@dataclass(frozen=True)
class Pixels:
    """How images were normalized, by channel.

    Attributes:
        mean: In pixels.
        std: In pixels, positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def zero(self) -> tuple[int, ...]:
        """The centred pixels that come closest to 0 after normalization."""
        return tuple(round(min(max(m, 0.0), 255.0)) - CENTRE for m in self.mean)

    def exact(self, x: Tensor) -> Tensor:
        """What normalization was applied to, minus 128, in float32, not rounded.

        Args:
            x: Normalized images, shape (B, C, H, W).
        """
        factor, shift = (v.to(x.device).view(-1, 1, 1) for v in self.restoring())
        # In place: fresh memory of this size costs many times what the sum does.
        return x.to(torch.float64, copy=True).mul_(factor).add_(shift).float()

    def restoring(self) -> tuple[Tensor, Tensor]:
        """What normalized numbers are to be multiplied by, and what is added then.

        Returns:
            In float64, shape (C,). Factors have the digits of a float32, so that a
            product with one is exact: all back ends get the same pixels of any image.
        """
        std, mean = (
            torch.tensor(v, dtype=torch.float32).double() for v in (self.std, self.mean)
        )
        return std, mean - CENTRE

    def centred(self, x: Tensor) -> Tensor:
        """The pixels minus 128, whole numbers in float32.

        Args:
            x: Normalized images in floats or the images in uint8, shape (B, C, H, W).
        """
        if x.dtype == torch.uint8:
            return x.float() - CENTRE
        return self.exact(x).round_().clamp_(-CENTRE, 255 - CENTRE)

    def integers(self, x: Tensor) -> Tensor:
        """The same in int8."""
        if x.dtype == torch.uint8:  # the highest bit turned
            return x.contiguous().view(torch.int8) ^ -CENTRE
        return self.centred(x).to(torch.int8)

    def normalized(self, centred: Tensor) -> Tensor:
        """Inverse of :meth:`centred`, in float32."""
        pixels = centred.float() + CENTRE
        mean, std = self._channels(self.mean, pixels), self._channels(self.std, pixels)
        return (pixels - mean) / std

    def to_dict(self) -> dict[str, list[float]]:
        """Plain types."""
        return {'mean': list(self.mean), 'std': list(self.std)}

    @classmethod
    def from_dict(cls, data: dict[str, Sequence[float]]) -> Pixels:
        """Inverse of :meth:`to_dict`."""
        mean, std = (tuple(map(float, data[key])) for key in ('mean', 'std'))
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(
                'mean and std have one number a channel, std positive ones'
            )
        return cls(mean, std)

    @staticmethod
    def _channels(values: Sequence[float], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=like.device).view(
            -1, 1, 1
        )


def pixels_of(module: nn.Module) -> Pixels | None:
    """How images were normalized that a module takes as pixels; None: it does not."""
    return getattr(module, _ATTRIBUTE, None)


def take_pixels(module: nn.Module, pixels: Pixels | None) -> None:
    """Note that the first layer of a module is one for centred pixels."""
    setattr(module, _ATTRIBUTE, pixels)


def is_image(x: Any, pixels: Pixels | None) -> bool:
    """Whether ``x`` is a batch of images of as many channels."""
    return (
        pixels is not None
        and isinstance(x, Tensor)
        and x.dim() == 4
        and x.shape[1] == len(pixels.mean)
        and (x.is_floating_point() or x.dtype == torch.uint8)
    )
