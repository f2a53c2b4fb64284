"""Counts evaluated images beyond the 8-bit pixels that regions were calibrated on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from typing import Any

from mmengine import dist
from mmengine.logging import print_log
from torch import Tensor, nn

from ...pixels import Pixels, is_image, pixels_of


class PixelWatch:
    """Counts the images that regions clip to 8 bits.

    Args:
        model: A quantized model.
        regions: Names of its regions.
    """

    def __init__(self, model: nn.Module, regions: Iterable[str]) -> None:
        self._counts: dict[str, list[int]] = {}
        self._handles = []
        for name in regions:
            module = model.get_submodule(name)
            pixels = pixels_of(module)
            if pixels is not None:
                self._counts[name] = [0, 0]
                look = functools.partial(self._look, self._counts[name], pixels)
                self._handles.append(module.register_forward_pre_hook(look))

    def _look(
        self, counts: list[int], pixels: Pixels, module: nn.Module, args: Any
    ) -> None:
        for x in args[:1]:
            if isinstance(x, Tensor) and is_image(x, pixels):
                counts[0] += sum(pixels.beyond(image) for image in x.split(1))
                counts[1] += len(x)

    def finish(self) -> dict[str, list[int]]:
        """End it, and warn if images were clipped.

        Returns:
            By region that clipped any, how many of how many images, over all ranks.
        """
        for handle in self._handles:
            handle.remove()
        found = {}
        ranks = dist.all_gather_object(self._counts)
        for name in self._counts:
            clipped, total = (sum(rank[name][i] for rank in ranks) for i in (0, 1))
            if clipped:
                found[name] = [clipped, total]
                print_log(
                    f"region '{name}' clips {clipped} of {total} evaluated images to "
                    '8-bit pixels: no calibration image had values beyond 0..255, '
                    'these have. Set quantization.pixels=False, and calibrate on '
                    'images like these',
                    'current',
                    level=logging.WARNING,
                )
        return found
