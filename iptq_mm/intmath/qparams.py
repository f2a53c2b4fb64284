"""What an integer stands for: a scale and the range it is kept in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def storage_dtype(qmin: int, qmax: int) -> torch.dtype:
    """The narrowest signed integer dtype that holds ``qmin..qmax``.

    Raises:
        OverflowError: If not even 64 bits hold it.
    """
    for dtype in (torch.int8, torch.int16, torch.int32, torch.int64):
        info = torch.iinfo(dtype)
        if info.min <= qmin and qmax <= info.max:
            return dtype
    raise OverflowError(f'no integer type holds {qmin}..{qmax}')


def as_float32(value: float) -> float:
    """``value`` rounded to float32, so that a saved scale is the used one."""
    return torch.tensor(value, dtype=torch.float32).item()


@dataclass(frozen=True)
class QParams:
    """A uniform quantizer: the real number ``scale * q``, ``qmin<=q<=qmax``.

    Integers are kept centred, so that 0 always stands for 0.0 and padding
    needs no care. An asymmetric ("affine") quantizer of ``b`` bits is one whose
    range is not symmetric: ``qmax - qmin == 2**b - 1``. Its zero point, for
    those who store unsigned codes, is ``-qmin``.

    Attributes:
        scale: Real value of one step; positive and finite.
        qmin: Smallest integer, at most 0.
        qmax: Largest integer, at least 0.
    """

    scale: float
    qmin: int
    qmax: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f'a scale is positive and finite, not {self.scale}: does '
                'calibration see NaN or infinite values?'
            )
        if not self.qmin <= 0 <= self.qmax or self.qmin == self.qmax:
            raise ValueError(f'{self.qmin}..{self.qmax} does not hold 0')

    @property
    def bits(self) -> int:
        """Bits of a code, as the quantizer's name has it (W8A8)."""
        return (self.qmax - self.qmin).bit_length()

    @property
    def bound(self) -> int:
        """Largest magnitude of an integer."""
        return max(-self.qmin, self.qmax)

    @classmethod
    def symmetric(cls, amax: float, bits: int) -> QParams:
        """``-amax..amax`` on ``-(2**(bits-1)-1)..2**(bits-1)-1``."""
        qmax = 2 ** (bits - 1) - 1
        return cls(as_float32(max(amax, 1e-12) / qmax), -qmax, qmax)

    @classmethod
    def affine(cls, low: float, high: float, bits: int) -> QParams:
        """``low..high``, widened to hold 0, on ``2**bits`` centred codes."""
        low, high = min(low, 0.0), max(high, 0.0)
        steps = 2**bits - 1
        scale = as_float32(max(high - low, 1e-12) / steps)
        qmin = -min(steps, round(-low / scale))
        return cls(scale, qmin, qmin + steps)

    def quantize(self, x: Tensor) -> Tensor:
        """Round to nearest and saturate.

        Args:
            x: Real values, any shape.

        Returns:
            Integers of ``storage_dtype(qmin, qmax)``, the shape of ``x``.
        """
        q = x.detach().to(torch.float64, copy=True)  # the only copy: memory costs time
        q.div_(self.scale).round_().clamp_(self.qmin, self.qmax)
        return q.to(storage_dtype(self.qmin, self.qmax))

    def dequantize(self, q: Tensor) -> Tensor:
        """``scale * q`` in float32."""
        return q.to(torch.float32) * self.scale

    def to_dict(self) -> dict[str, Any]:
        """Plain types for the plan."""
        return {'scale': self.scale, 'qmin': self.qmin, 'qmax': self.qmax}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> QParams:
        """Inverse of :meth:`to_dict`."""
        return cls(float(data['scale']), int(data['qmin']), int(data['qmax']))
