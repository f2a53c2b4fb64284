"""How the weights of a layer become integers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class Rounding(ABC):
    """Rounds a weight at given scales; subclasses register in ``ROUNDINGS``."""

    @abstractmethod
    def __call__(
        self, weight: Tensor, scale: Tensor, bits: int, inputs: Any = None
    ) -> Tensor:
        """Round a weight, symmetric by output channel.

        Args:
            weight: Real weight; dimension 0 is the output channel.
            scale: Scale of each output channel, shape (out,), positive.
            bits: Bits of a code, 2 to 8.
            inputs: What calibration kept of the layer's inputs, for roundings
                that look at them; None without calibration.

        Returns:
            int8, the shape of ``weight``, within
            ``-(2**(bits-1) - 1) .. 2**(bits-1) - 1``.

        Raises:
            ValueError: If the arguments do not fit together, or the rounding
                needs ``inputs`` and there are none.
        """


def check(weight: Tensor, scale: Tensor, bits: int) -> None:
    """Raise the errors that every rounding shares.

    Raises:
        ValueError: If bits are not 2 to 8, scales are not one positive finite
            number an output channel, or a weight is NaN or infinite.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f'weights take 2 to 8 bits, not {bits}')
    if scale.shape != weight.shape[:1]:
        raise ValueError(
            f'a weight of shape {tuple(weight.shape)} takes {weight.shape[0]} '
            f'scales, not {tuple(scale.shape)}'
        )
    if not (scale.isfinite() & (scale > 0)).all():
        raise ValueError('a scale is positive and finite')
    if not weight.isfinite().all():
        raise ValueError('a weight has NaN or infinite values: check the checkpoint')
