"""Images as the 8-bit integers that they are, whatever made floats of them.

Cameras and files give integers. Normalization is ``(p - mean) / std`` by channel, and
the first layer is linear: it can take the pixels themselves, with ``w / std`` as its
weights and the means in its bias.
"""

from __future__ import annotations

import warnings
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
#: What marks a padded pixel. Its weight makes up for half a grey level at most in each
#: channel: divided by this, it is no greater than theirs, and still many steps.
MARK = 4
#: What is rounded to a pixel without clipping.
_LEAST, _MOST = -0.5, 255.5

_ATTRIBUTE = 'iptq_pixels'


@dataclass(frozen=True)
class Pixels:
    """How images were normalized, by channel.

    Where images were padded after that, 0.0 is as a rule no whole pixel. A channel
    more then marks what was padded: :data:`MARK` there, 0 elsewhere.

    Attributes:
        mean: In pixels.
        std: In pixels, positive.
        marked: Whether there is that channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    marked: bool = False

    @property
    def zero_point(self) -> tuple[int, ...]:
        """The centred pixels that come closest to 0 after normalization.

        With the mark, where there is one: then they stand for 0 exactly.
        """
        nearest = (round(min(max(m, 0.0), 255.0)) - CENTRE for m in self.mean)
        return (*nearest, *([MARK] if self.marked else []))

    @property
    def zero_point_is_exact(self) -> bool:
        """Whether pixels that become 0 exist, so that no mark is needed."""
        return all(
            m == z + CENTRE for m, z in zip(self.mean, self.zero_point, strict=False)
        )

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

    def away(self, x: Tensor) -> float:
        """How far images are from 8-bit pixels at most; what is padded does not count.

        Args:
            x: Normalized images in floats or the images in uint8, shape (B, C, H, W).

        Returns:
            In pixels; infinite where an image is not finite.
        """
        if x.dtype == torch.uint8 or not x.numel():
            return 0.0
        exact = self.exact(x)
        away = (exact - exact.round().clamp_(-CENTRE, 255 - CENTRE)).abs_()
        return float(
            away.masked_fill_(padded(x), 0.0).nan_to_num_(torch.inf, torch.inf).max()
        )

    def beyond(self, x: Tensor) -> bool:
        """Whether images have values that no 8-bit pixel has; these are clipped."""
        if x.dtype == torch.uint8 or not x.numel():
            return False
        channels = x.transpose(0, 1).flatten(1)
        factor, shift = (v.to(x.device) for v in self.restoring())
        low, high = (v * factor + shift + CENTRE for v in channels.aminmax(dim=1))
        return not bool(((low >= _LEAST) & (high <= _MOST)).all())

    def real_range(self) -> tuple[float, float]:
        """The least and the greatest float that becomes a pixel without clipping."""
        pairs = list(zip(self.mean, self.std, strict=True))
        low = min((_LEAST - m) / s for m, s in pairs)
        return low, max((_MOST - m) / s for m, s in pairs)

    def centred(self, x: Tensor) -> Tensor:
        """The pixels minus 128, and marks of padding, whole numbers in float32.

        Args:
            x: Normalized images in floats or the images in uint8, shape (B, C, H, W).

        Returns:
            Shape (B, C, H, W), or (B, C + 1, H, W) with marks.
        """
        if x.dtype == torch.uint8:
            return self._with_marks(x.float() - CENTRE, x)
        whole = self.exact(x).round_()
        self._warn_of_clipping(whole)
        return self._with_marks(whole.clamp_(-CENTRE, 255 - CENTRE), x)

    def integers(self, x: Tensor) -> Tensor:
        """The same in int8."""
        if x.dtype == torch.uint8:  # the highest bit turned
            return self._with_marks(x.contiguous().view(torch.int8) ^ -CENTRE, x)
        return self.centred(x).to(torch.int8)

    def normalized(self, centred: Tensor) -> Tensor:
        """Inverse of :meth:`centred`, in float32."""
        pixels = centred[:, : len(self.mean)].float() + CENTRE
        mean, std = self._channels(self.mean, pixels), self._channels(self.std, pixels)
        real = (pixels - mean) / std
        return real * (centred[:, -1:] == 0) if self.marked else real

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        plain = {'mean': list(self.mean), 'std': list(self.std)}
        return {**plain, 'marked': True} if self.marked else plain

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Pixels:
        """Inverse of :meth:`to_dict`."""
        mean, std = (tuple(map(float, data[key])) for key in ('mean', 'std'))
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(
                'mean and std have one number a channel, std positive ones'
            )
        return cls(mean, std, bool(data.get('marked')))

    def _with_marks(self, centred: Tensor, x: Tensor) -> Tensor:
        if not self.marked:
            return centred
        return torch.cat([centred, padded(x).to(centred.dtype).mul_(MARK)], 1)

    @staticmethod
    def _warn_of_clipping(whole: Tensor) -> None:
        low, high = map(float, whole.aminmax()) if whole.numel() else (0.0, 0.0)
        if not -CENTRE <= low <= high <= 255 - CENTRE:
            warnings.warn(
                f'an image of pixels from {low + CENTRE:.0f} to {high + CENTRE:.0f} is '
                'clipped to 8 bits, 0 to 255, which is what the model was calibrated '
                'on: quantize it with quantization.pixels=False, on such images, too',
                stacklevel=3,
            )

    @staticmethod
    def _channels(values: Sequence[float], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=like.device).view(
            -1, 1, 1
        )


def padded(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Where images were padded after normalization.

    Args:
        x: Normalized images in floats or the images in uint8, shape (B, C, H, W). In
            uint8 nothing was normalized.
        out: Where the result is to be; None: in memory of its own.

    Returns:
        bool, shape (B, 1, H, W).
    """
    if out is None:
        out = torch.empty_like(x[:, :1], dtype=torch.bool)
    if x.dtype == torch.uint8:
        return out.zero_()
    # Channel by channel: reductions over an outer dimension are slow, and so is fresh
    # memory.
    torch.eq(x[:, :1], 0, out=out)
    room = torch.empty_like(out, memory_format=torch.contiguous_format)
    for channel in range(1, x.shape[1]):
        out &= torch.eq(x[:, channel : channel + 1], 0, out=room)
    return out


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
