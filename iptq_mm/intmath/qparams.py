"""Quantizers: a scale and a range of integers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .levels import check_levels, level_table, look_up

#: Elements that are rounded at a time: their float64 stay in the L2 cache.
BLOCK = 2**15


def storage_dtype(qmin: int, qmax: int) -> torch.dtype:
    """The smallest signed integer dtype that holds ``qmin..qmax``.

    Raises:
        OverflowError: If not even 64 bits hold it.
    """
    for dtype in (torch.int8, torch.int16, torch.int32, torch.int64):
        info = torch.iinfo(dtype)
        if info.min <= qmin and qmax <= info.max:
            return dtype
    raise OverflowError(f'no integer type holds {qmin}..{qmax}')


def as_float32(value: float) -> float:
    """``value`` rounded to float32, so that saving a scale does not change it."""
    return torch.tensor(value, dtype=torch.float32).item()


@dataclass(frozen=True)
class QParams:
    """A quantizer: ``real = scale * q`` with ``qmin <= q <= qmax``.

    The zero point is always 0: the integer 0 stands for 0.0, so that padding needs no
    care and products need no correction. A quantizer of ``b`` bits is asymmetric if its
    range is not: ``qmax - qmin == 2**b - 1``. Formats that store it as unsigned codes,
    ``code = q - qmin``, have the zero point ``-qmin``. Example::

        >>> a = QParams.asymmetric(-0.5, 2.0, bits=8)
        >>> a.qmin, a.qmax
        (-51, 204)
        >>> q = a.quantize(torch.tensor([-0.5, 0.0, 1.0, 9.9]))
        >>> q  # 9.9 saturates; int16, because 204 does not fit int8
        tensor([-51,   0, 102, 204], dtype=torch.int16)
        >>> a.dequantize(q)
        tensor([-0.5000,  0.0000,  1.0000,  2.0000])
        >>> s = QParams.symmetric(2.0, bits=4)
        >>> s.qmin, s.qmax, s.bits
        (-7, 7, 4)

    A quantizer with *levels* is not uniform: of ``qmin..qmax``, only the levels occur.
    With ``2**b`` levels, ``b`` bits are enough to store a value. Example::

        >>> n = QParams(0.01, -17, 238, levels=(-17, -9, 0, 14, 40, 80, 140, 230))
        >>> n.bits, n.code_bits
        (8, 3)
        >>> n.quantize(torch.tensor([-0.1, 0.08, 0.3, 9.9]))
        tensor([ -9,  14,  40, 230], dtype=torch.int16)

    Attributes:
        scale: Real value of the integer 1; positive and finite.
        qmin: Smallest integer, at most 0.
        qmax: Largest integer, at least 0.
        levels: The integers that occur, in rising order, 0 among them; None: all of
            ``qmin..qmax``.
    """

    scale: float
    qmin: int
    qmax: int
    levels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f'a scale is positive and finite, not {self.scale}: does '
                'calibration see NaN or infinite values?'
            )
        if not self.qmin <= 0 <= self.qmax or self.qmin == self.qmax:
            raise ValueError(f'{self.qmin}..{self.qmax} does not hold 0')
        if self.levels is not None:
            check_levels(self.levels, self.qmin, self.qmax)

    @property
    def bits(self) -> int:
        """Number of bits of an integer: the 8 of W8A8."""
        return (self.qmax - self.qmin).bit_length()

    @property
    def code_bits(self) -> int:
        """Number of bits that store one: fewer than :attr:`bits` if it has levels."""
        return self.bits if self.levels is None else (len(self.levels) - 1).bit_length()

    @property
    def bound(self) -> int:
        """Largest magnitude of an integer."""
        return max(-self.qmin, self.qmax)

    @classmethod
    def symmetric(cls, amax: float, bits: int) -> QParams:
        """The quantizer of ``-amax..amax`` with ``2**bits - 1`` integers."""
        qmax = 2 ** (bits - 1) - 1
        return cls(as_float32(max(amax, 1e-12) / qmax), -qmax, qmax)

    @classmethod
    def asymmetric(cls, low: float, high: float, bits: int) -> QParams:
        """The quantizer of ``low..high`` with ``2**bits`` integers.

        The range is extended to include 0.0.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        steps = 2**bits - 1
        scale = as_float32(max(high - low, 1e-12) / steps)
        qmin = -min(steps, round(-low / scale))
        return cls(scale, qmin, qmin + steps)

    def quantize(self, x: Tensor) -> Tensor:
        """The nearest integers, saturated to ``qmin..qmax``, and then their levels.

        Args:
            x: Real values, any shape.

        Returns:
            Integers of ``storage_dtype(qmin, qmax)``, the shape of ``x``.
        """
        x, dtype = x.detach(), storage_dtype(self.qmin, self.qmax)
        if x.device.type == 'cpu' and x.is_contiguous() and x.numel() > BLOCK:
            q = torch.empty(x.shape, dtype=dtype)
            pairs = zip(x.view(-1).split(BLOCK), q.view(-1).split(BLOCK), strict=True)
            for real, integers in pairs:
                integers.copy_(self._rounded(real))
        else:
            q = self._rounded(x).to(dtype)
        return self.to_levels(q)

    def _rounded(self, x: Tensor) -> Tensor:
        """The nearest integers, saturated, in float64."""
        q = x.to(torch.float64, copy=True)  # the only copy: memory costs time
        scale: Any = self.scale
        if q.device.type != 'cpu':
            # GPUs multiply by the reciprocal of a number, which may round otherwise.
            scale = torch.full((), scale, dtype=torch.float64, device=q.device)
        return q.div_(scale).round_().clamp_(self.qmin, self.qmax)

    def saturate(self, wide: Tensor) -> Tensor:
        """Integers of any size, saturated to ``qmin..qmax``, and then their levels.

        Returns:
            Integers of ``storage_dtype(qmin, qmax)``, the shape of ``wide``.
        """
        q = wide.clamp(self.qmin, self.qmax).to(storage_dtype(self.qmin, self.qmax))
        return self.to_levels(q)

    def to_levels(self, q: Tensor) -> Tensor:
        """The nearest levels of integers of ``qmin..qmax``; without levels, ``q``."""
        if self.levels is None:
            return q
        table = level_table(self.levels, self.qmin, self.qmax).to(q.device, q.dtype)
        return look_up(table, self.qmin, q)

    def dequantize(self, q: Tensor) -> Tensor:
        """Real values ``scale * q`` in float32."""
        return q.to(torch.float32) * self.scale

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types, as the plan stores it."""
        data: dict[str, Any] = {
            'scale': self.scale,
            'qmin': self.qmin,
            'qmax': self.qmax,
        }
        return data if self.levels is None else {**data, 'levels': list(self.levels)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> QParams:
        """Inverse of :meth:`to_dict`."""
        levels = tuple(map(int, data['levels'])) if 'levels' in data else None
        return cls(float(data['scale']), int(data['qmin']), int(data['qmax']), levels)
