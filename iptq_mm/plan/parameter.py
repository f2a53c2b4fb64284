"""The plan of a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..intmath.qparams import as_float32
from ..intmath.weight_codes import most_code, most_factor
from .scales import with_short_scale


@dataclass
class ParameterPlan:
    """How a parameter is quantized.

    Attributes:
        role: Its role at the sites that use it: weight, bias, norm or table.
        bits: Bits of an integer.
        shape: Its shape.
        scale: One number, or one per output channel (of weights).
        group: Inputs of a weight that share a factor, see
            :mod:`iptq_mm.rounding.groups`; 0: there are no groups. The integers are
            products of factors and codes, and ``bits`` those of a code.
    """

    role: str
    bits: int
    shape: tuple[int, ...]
    scale: float | list[float]
    group: int = 0

    @property
    def bound(self) -> int:
        """Largest magnitude of an integer."""
        code = most_code(self.bits)
        return code * most_factor(self.bits) if self.group else code

    def scales(self) -> Tensor:
        """The scale as a float64 tensor, shape () or (out_channels,)."""
        return torch.tensor(self.scale, dtype=torch.float64)

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types."""
        given = with_short_scale(
            {
                'role': self.role,
                'bits': self.bits,
                'shape': list(self.shape),
                'scale': self.scale,
            }
        )
        return {**given, 'group': self.group} if self.group else given

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ParameterPlan:
        """Inverse of :meth:`to_dict`."""
        scale = data['scale']
        scale = (
            [as_float32(s) for s in scale]
            if isinstance(scale, list)
            else as_float32(scale)
        )
        group = data.get('group', 0)
        return cls(data['role'], data['bits'], tuple(data['shape']), scale, group)
