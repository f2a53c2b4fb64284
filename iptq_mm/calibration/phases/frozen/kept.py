"""Weights that are rounded already, for runs that resume."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ....moments import Moments
from ....rounding.base import Rounded, Rounding

#: Seconds of rounding after which the results are kept.
EVERY = 30.0
#: Rounded weights: codes and scales by :func:`digest`.
RoundedWeights = dict[str, dict[str, Tensor]]


class Kept:
    """Rounds weights, and keeps what it did.

    Args:
        rounded: What an earlier run kept, and what this one adds.
        save: Saves it; called now and then.
    """

    def __init__(
        self, rounded: RoundedWeights | None = None, save: Callable[[], Any] = int
    ) -> None:
        self._rounded = {} if rounded is None else rounded
        self._save, self._saved = save, time.perf_counter()

    def round(
        self,
        rounding: Rounding,
        settings: str,
        weight: Tensor,
        scale: Tensor,
        bits: int,
        inputs: Moments,
        centred: bool,
        group: int,
    ) -> tuple[Rounded, str]:
        """What ``rounding`` makes of the other arguments, computed once, and its key.

        Args:
            rounding: The rounding.
            settings: Describes it.
            weight: See :class:`~iptq_mm.rounding.Rounding`, as the others.
            scale: Of each row.
            bits: Of a code.
            inputs: Moments.
            centred: Whether a bias takes the mean error.
            group: Inputs of a group.
        """
        key = digest(settings, weight, scale, bits, inputs, centred, group)
        found = self._rounded.get(key)
        if found is not None:
            codes, scale = (
                found[name].to(weight.device) for name in ('codes', 'scale')
            )
            return Rounded(codes, scale), key
        made = rounding(weight, scale, bits, inputs, centred=centred, group=group)
        self.take(key, made)
        return made, key

    def take(self, key: str, made: Rounded) -> None:
        """Keep a weight that was rounded here or on another rank."""
        self._rounded[key] = {n: t.cpu() for n, t in made._asdict().items()}

    def save_now_and_then(self) -> None:
        """Save what is rounded, if it was not for a while."""
        if time.perf_counter() - self._saved >= EVERY:
            self._save()
            self._saved = time.perf_counter()


def digest(
    settings: str,
    weight: Tensor,
    scale: Tensor,
    bits: int,
    inputs: Moments,
    centred: bool,
    group: int,
) -> str:
    """Identifies all that a rounded weight depends on; see :meth:`Kept.round`."""
    found = hashlib.sha256(
        repr((settings, bits, centred, group, inputs.scale, inputs.count)).encode()
    )
    for part in (weight, scale, inputs.sum, inputs.second):
        part = part.detach().cpu().contiguous()
        found.update(repr((part.dtype, tuple(part.shape))).encode())
        found.update(part.numpy().data)
    return found.hexdigest()
