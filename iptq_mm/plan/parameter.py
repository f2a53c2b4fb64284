"""The plan of a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..intmath.qparams import as_float32
from .scales import with_short_scale


@dataclass
class ParameterPlan:
    """How a parameter is quantized.

    Attributes:
        role: Its role at the sites that use it: weight, bias, norm or table.
        bits: Bits of an integer.
        shape: Its shape.
        scale: One number, or one per output channel (of weights).
    """

    role: str
    bits: int
    shape: tuple[int, ...]
    scale: float | list[float]

    @property
    def bound(self) -> int:
        """Largest magnitude of an integer."""
        return 2 ** (self.bits - 1) - 1

    def scales(self) -> Tensor:
        """The scale as a float64 tensor, shape () or (out_channels,)."""
        return torch.tensor(self.scale, dtype=torch.float64)

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types."""
        return with_short_scale(
            {
                'role': self.role,
                'bits': self.bits,
                'shape': list(self.shape),
                'scale': self.scale,
            }
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ParameterPlan:
        """Inverse of :meth:`to_dict`."""
        scale = data['scale']
        scale = (
            [as_float32(s) for s in scale]
            if isinstance(scale, list)
            else as_float32(scale)
        )
        return cls(data['role'], data['bits'], tuple(data['shape']), scale)
