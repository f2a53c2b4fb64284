"""ReLU, which keeps the scale of its operand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .base import Constants, Operation, SiteInputs, broadcast

#: Relative difference of two scales after multiplying and dividing by a number.
_TOLERANCE = 1e-9


class ReLU(Operation):
    """``max(x, 0)``, elementwise, on integers as on real numbers.

    The plan gives operand and output the same scale, so that nothing is requantized.
    """

    kind = 'relu'

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return torch.relu(inputs[0])

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """See the base class."""
        return broadcast(shapes, attributes)

    def prepare(self, site: SiteInputs) -> Constants:
        """There are no constants.

        Raises:
            ValueError: If the scales of operand and output differ.
        """
        scale = site.qparams[0].scale
        if abs(scale - site.out.scale) > _TOLERANCE * site.out.scale:
            raise ValueError(
                f'ReLU keeps the scale of its operand, {scale}, but the plan gives its '
                f'output the scale {site.out.scale}'
            )
        return {}

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """See the base class; the type of the operand."""
        return inputs[0].clamp_min(0)
