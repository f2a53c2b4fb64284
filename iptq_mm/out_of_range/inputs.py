"""What the quantizers of a region's inputs clip."""

from __future__ import annotations

import torch
from torch import Tensor

from ..intmath import QParams
from ..pixels import PIXEL_QPARAMS, Pixels
from .counting import reach
from .record import OutOfRangeLog


def see_input(
    log: OutOfRangeLog, name: str, value: Tensor, qparams: QParams, inside: bool
) -> None:
    """Count the values of an input that its quantizer clips.

    Args:
        log: Gets the counts.
        name: Name of the input.
        value: Floats.
        qparams: The quantizer.
        inside: Whether none is outside, since another region has quantized them.
    """
    if inside:
        log.at(name).add_inside(value.numel(), qparams.qmax - qparams.qmin)
        return
    _see(log, name, value.detach().double() / qparams.scale, qparams)


def see_image(log: OutOfRangeLog, name: str, image: Tensor, pixels: Pixels) -> None:
    """Count the values of an image that are beyond 8-bit pixels."""
    if image.dtype == torch.uint8:
        log.at(name).add_inside(image.numel(), PIXEL_QPARAMS.qmax - PIXEL_QPARAMS.qmin)
        return
    _see(log, name, pixels.exact(image.detach()), PIXEL_QPARAMS)


def _see(log: OutOfRangeLog, name: str, steps: Tensor, qparams: QParams) -> None:
    """Count real numbers of steps, rounded as the quantizer rounds them."""
    low, high = qparams.qmin, qparams.qmax
    # NaN has no distance; integer types have no infinity.
    whole = (
        steps.nan_to_num(0.0, torch.inf, -torch.inf).round_().clamp_(*reach(low, high))
    )
    log.at(name).see(whole.to(torch.int64), low, high)
