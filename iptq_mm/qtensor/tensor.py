"""QTensor: a tensor of integers (or floats under observation) with a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..intmath import QParams, storage_dtype
from .context import current_mode, describe_location
from .errors import UnsupportedOperationError


@dataclass(frozen=True, eq=False)
class WeightQParams:
    """Symmetric quantizer of a weight, one scale for each output channel.

    Attributes:
        scale: float64, shape (out_channels,), along dimension 0.
        bound: Largest magnitude of an integer.
    """

    scale: Tensor
    bound: int

    def dequantize(self, q: Tensor) -> Tensor:
        """Real weights in float32, the shape of ``q``."""
        shape = (-1,) + (1,) * (q.dim() - 1)
        return (q.double() * self.scale.to(q.device).view(shape)).float()


class QTensor(torch.Tensor):
    """What flows through the model code of a region.

    To the model it looks like a float32 tensor. Every torch function that
    meets one is answered by the rule table; nothing else can reach the numbers.

    Attributes:
        payload: The numbers: integers, or floats in the float modes.
        qparams: What the integers stand for; None before calibration.
        source: The site, parameter or region input that made the value;
            views keep it.
        constant: Whether the value depends on parameters only.
    """

    payload: Tensor
    qparams: QParams | WeightQParams | None
    source: str
    constant: bool

    @staticmethod
    def __new__(
        cls,
        payload: Tensor,
        qparams: QParams | WeightQParams | None = None,
        source: str = '',
        constant: bool = False,
    ) -> QTensor:
        """Wrap ``payload``; see the attributes."""
        self = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, payload.shape, dtype=torch.float32, device=payload.device
        )
        self.payload = payload
        self.qparams = qparams
        self.source = source
        self.constant = constant
        return self

    def like(self, payload: Tensor) -> QTensor:
        """``payload`` with everything else of this tensor (a view, say)."""
        return QTensor(payload, self.qparams, self.source, self.constant)

    def become(self, other: QTensor) -> None:
        """Take over everything of ``other``, whose shape has to be the same.

        Raises:
            UnsupportedOperationError: If the shapes differ.
        """
        if other.payload.shape != self.payload.shape:
            raise UnsupportedOperationError('an in-place operation that broadcasts')
        self.payload, self.qparams = other.payload, other.qparams
        self.source, self.constant = other.source, other.constant

    @property
    def is_integer(self) -> bool:
        """Whether the numbers are integers now."""
        return not self.payload.is_floating_point()

    def real_values(self) -> Tensor:
        """The real values in float32."""
        if not self.is_integer:
            return self.payload
        assert self.qparams is not None
        return self.qparams.dequantize(self.payload)

    def scaled(self, factor: float) -> QTensor:
        """Multiplied by a number: in integers only the scale changes."""
        payload, qparams = self.payload, self.qparams
        if isinstance(qparams, WeightQParams):
            raise UnsupportedOperationError(
                f'{describe_location()}: a weight with one scale a channel cannot be '
                'multiplied by a number'
            )
        if qparams is not None:
            low, high = qparams.qmin, qparams.qmax
            if factor < 0:
                low, high = -high, -low
            qparams = QParams(qparams.scale * abs(factor), low, high)
        if not self.is_integer:
            payload = payload * factor
        elif factor < 0:
            payload = -payload.to(storage_dtype(qparams.qmin, qparams.qmax))  # type: ignore[union-attr]
        return QTensor(payload, qparams, self.source, self.constant)

    def shifted(self, constant: Tensor) -> QTensor:
        """Plus a float tensor that depends on no input (an attention mask).

        In integers it is rounded to the scale of this tensor and the range
        grows by it: nothing is requantized and nothing saturates.
        """
        if not self.is_integer:
            payload = self.payload + constant
        qparams = self.qparams
        if isinstance(qparams, QParams):
            steps = (constant.double() / qparams.scale).round()
            if not bool(steps.abs().max() < 2**30):
                # An infinite mask: far below everything is far enough.
                steps = steps.clamp(-(2**30), 2**30)
            low, high = int(steps.min()), int(steps.max())
            qparams = QParams(
                qparams.scale, qparams.qmin + min(low, 0), qparams.qmax + max(high, 0)
            )
            if self.is_integer:
                payload = self.payload.int() + steps.int()
        return QTensor(payload, qparams, self.source, self.constant)

    def __repr__(self) -> str:  # type: ignore[override]
        """Shape, numbers' dtype and source, never the numbers."""
        return (
            f'QTensor({tuple(self.payload.shape)}, {self.payload.dtype}, '
            f'{self.qparams}, source={self.source!r})'
        )

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Answer ``func`` from the rule table."""
        from .rules import apply_rule

        return apply_rule(current_mode(), func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Nothing touches the numbers behind the table's back."""
        raise UnsupportedOperationError(
            f'{describe_location()}: {func} would touch the integers behind the rule '
            'table'
        )
