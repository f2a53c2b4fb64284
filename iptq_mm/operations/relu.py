"""ReLU: the scale stays, the negative part goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .base import Constants, Operation, SiteInputs

#: Relative difference of two scales that a number multiplied and divided out makes.
_TOLERANCE = 1e-9


class ReLU(Operation):
    """``max(x, 0)``, elementwise, on integers as on real numbers.

    The plan gives operand and result one scale, so that nothing is requantized.
    """

    kind = 'relu'

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return torch.relu(inputs[0])

    def prepare(self, site: SiteInputs) -> Constants:
        """There are no constants.

        Raises:
            ValueError: If the operand has another scale than the result.
        """
        scale = site.qparams[0].scale
        if abs(scale - site.out.scale) > _TOLERANCE * site.out.scale:
            raise ValueError(
                f'ReLU of values in steps of {scale} to steps of {site.out.scale}'
            )
        return {}

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class; the type of the operand."""
        return inputs[0].clamp_min(0)
