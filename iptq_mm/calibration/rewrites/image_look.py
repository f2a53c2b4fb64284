"""A look at all calibration images: are they 8-bit pixels?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice, takewhile
from typing import Any

import torch
from torch import Tensor, nn

from ...pixels import Pixels, is_image, padded
from ...record import RegionRecord
from ...utils.trees import tree_leaves
from ..batches import Forward, run_batches
from ..phases.observe_mode import Observing
from .kept_calls import Call

#: How far from a whole number a pixel may come back from normalization.
_WHOLE = 0.01


class _Enough(Exception):
    """Ends a forward pass: every region has got its image, nothing follows."""


class ImageLook:
    """Findings about the images that a region gets.

    Args:
        region: Its name.
        pixels: How images are normalized.

    Attributes:
        reason: Why its images cannot be taken as pixels, or nothing.
        padded: Whether images were padded after they were normalized.
        call: The first call, or the first one with padding.
        calls: How many there were in this batch.
        record: What the region did in the first batch.
    """

    def __init__(self, region: str, pixels: Pixels) -> None:
        self.reason, self.padded, self.calls = '', False, 0
        self.call: Call | None = None
        self.record = RegionRecord()
        self._region, self._pixels = region, pixels

    def see(self, args: tuple, kwargs: dict[str, Any]) -> None:
        """Look at the arguments of a call."""
        self.calls += 1
        x = args[0] if args else None
        if not isinstance(x, Tensor) or not is_image(x, self._pixels):
            self.reason = self.reason or 'its input is no batch of images'
            return
        away = self._pixels.away(x)
        if away > _WHOLE:
            reason = f'its input is no image of 8-bit pixels (off by {away:.2g})'
            self.reason = self.reason or reason
        has_padding = bool(padded(x).any())
        if self.call is None or (has_padding and not self.padded):
            self.call = Call(self._region, args, kwargs)
        self.padded |= has_padding


def look_at_images(
    model: Any, regions: Iterable[str], pixels: Pixels, forward: Forward, batches: Any
) -> dict[str, ImageLook]:
    """Look at every image that enters regions.

    The first batch is observed. Of the others, no more is run than what comes before
    the regions, if these run once a batch.

    Args:
        model: The float model.
        regions: Their names.
        pixels: How its data preprocessor normalizes images.
        forward: Runs a batch.
        batches: Calibration batches, gone through once at most.

    Returns:
        By region what was seen.
    """
    looks = {name: ImageLook(name, pixels) for name in regions}
    images = iter(batches)
    with _watched(model, looks) as stop:
        modes = {name: Observing(look.record) for name, look in looks.items()}
        run_batches(model, modes, forward, islice(images, 1))
        stop.possible = all(look.calls <= 1 for look in looks.values())

        def seen(batch: Any) -> None:
            for look in looks.values():
                look.calls = 0
            with suppress(_Enough):
                forward(batch)

        def open_questions(_: Any) -> bool:
            return any(not look.reason for look in looks.values())

        run_batches(model, {}, seen, takewhile(open_questions, images))
    return looks


class _Stop:
    """Whether a batch may end where every region in question was called."""

    possible = False


@contextmanager
def _watched(model: Any, looks: dict[str, ImageLook]) -> Iterator[_Stop]:
    """Let looks see the calls of their regions."""
    stop = _Stop()

    def see(name: str, args: tuple, kwargs: dict[str, Any]) -> None:
        looks[name].see(args, kwargs)
        open_looks = [look for look in looks.values() if not look.reason]
        if stop.possible and all(look.calls for look in open_looks):
            raise _Enough

    def see_raw(args: tuple) -> None:
        wide = _wide_type(args)
        for look in looks.values():
            if wide is not None:
                look.reason = look.reason or f'its images are of {wide}, not of 8 bits'

    with ExitStack() as stack:
        for name in looks:
            handle = model.get_submodule(name).register_forward_pre_hook(
                lambda _, args, kwargs, name=name: see(name, args, kwargs),
                with_kwargs=True,
            )
            stack.callback(handle.remove)
        preprocessor = getattr(model, 'data_preprocessor', None)
        if isinstance(preprocessor, nn.Module):
            handle = preprocessor.register_forward_pre_hook(
                lambda _, args: see_raw(args)
            )
            stack.callback(handle.remove)
        yield stop


def _wide_type(args: tuple) -> torch.dtype | None:
    """The type of raw images whose integers have more than 8 bits, None for others."""
    data = args[0] if args else None
    images = data.get('inputs') if isinstance(data, dict) else None
    for x in tree_leaves(images):
        if isinstance(x, Tensor) and not x.is_floating_point() and x.itemsize > 1:
            return x.dtype
    return None
