"""The interface of roundings, which turn the weights of a layer into integers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor

from ..intmath.weight_codes import most_factor
from ..moments import Moments


class Rounded(NamedTuple):
    """A weight in integers; it stands for ``scale * codes``.

    Attributes:
        codes: int8, or int16 of more than 8 bits, the shape of the weight, within
            ``-(2**(bits-1) - 1) .. 2**(bits-1) - 1``; with groups, products of such
            codes and factors, see :mod:`.groups`.
        scale: Scale of each output channel, float64, shape (out,): the given
            one, or a better one (then a value of float32, as plans keep it).
    """

    codes: Tensor
    scale: Tensor


class Rounding(ABC):
    """Rounds a weight; subclasses register in ``ROUNDINGS``.

    Attributes:
        needs_inputs: Whether it wants the moments of the layer's inputs.
    """

    needs_inputs: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self,
        weight: Tensor,
        scale: Tensor,
        bits: int,
        inputs: Moments | None = None,
        centred: bool = False,
        group: int = 0,
    ) -> Rounded:
        """Round a weight, symmetric by output channel.

        Args:
            weight: Real weight; dimension 0 is the output channel.
            scale: Scale of each output channel, shape (out,), positive.
            bits: Bits of a code, 2 to 8; to 16 for rounding to the nearest.
            inputs: Moments of the layer's inputs, in the order of
                ``weight.flatten(1)``, for roundings that look at them.
            centred: Whether the mean error of the output will be put into the
                bias, ``bias += (weight - scale * codes) @ mean``, so that only
                the deviation from it counts.
            group: Inputs that share a factor, see :mod:`.groups`; the given scales
                are then not used. 0: there are no groups.

        Returns:
            Codes and scales, on the device of ``weight``.

        Raises:
            ValueError: If the arguments do not fit together, or the rounding
                needs ``inputs`` and there are none.
        """


def check(
    weight: Tensor, scale: Tensor, bits: int, group: int = 0, most: int = 8
) -> None:
    """Raise the errors that every rounding shares.

    Args:
        weight: As for the rounding.
        scale: As for the rounding.
        bits: As for the rounding.
        group: As for the rounding.
        most: Most bits that it takes.

    Raises:
        ValueError: If bits are not 2 to ``most`` (2 to 7 with groups), scales are not
            one positive finite number an output channel, or a weight is NaN or
            infinite.
    """
    if not 2 <= bits <= most:
        raise ValueError(f'weights take 2 to {most} bits, not {bits}')
    if group and (group < 2 or most_factor(bits) < 2):
        raise ValueError(
            f'groups have 2 inputs or more and codes of 2 to 7 bits, not {group} and '
            f'{bits}'
        )
    if scale.shape != weight.shape[:1]:
        raise ValueError(
            f'a weight of shape {tuple(weight.shape)} takes {weight.shape[0]} '
            f'scales, not {tuple(scale.shape)}'
        )
    if not (scale.isfinite() & (scale > 0)).all():
        raise ValueError('a scale is positive and finite')
    if not weight.isfinite().all():
        raise ValueError('a weight has NaN or infinite values: check the checkpoint')
