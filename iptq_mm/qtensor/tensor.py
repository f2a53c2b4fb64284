"""QTensor: a tensor of integers (or floats under observation) with a scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..intmath import QParams, storage_dtype
from .aliasing import Sharing, overlap, shares_memory
from .context import current_mode, describe_location
from .errors import UnsupportedOperationError

#: Steps from a value that are far enough for whatever a mask shall hide.
_FAR = 2**30
#: What they have to be at least, as a real number: exp(-32) is nothing.
_FAR_ENOUGH = 32.0


@dataclass(frozen=True, eq=False)
class WeightQParams:
    """Symmetric quantizer of a weight, one scale for each output channel.

    Attributes:
        scale: float64, shape (out_channels,), along dimension 0.
        bound: Largest magnitude of an integer.
        transposed: Whether it is the weight of a transposed convolution, shape
            (in, out, kh, kw), with a scale for each output channel and place of the
            kernel; see :func:`iptq_mm.patches.transposed_rows`.
    """

    scale: Tensor
    bound: int
    transposed: bool = False

    def grid(self, like: Tensor) -> Tensor:
        """The scale of each element of a weight, in a shape that broadcasts."""
        shape = (-1,) + (1,) * (like.dim() - 1)
        if self.transposed:
            shape = (1, *like.shape[1:])
        return self.scale.to(like.device).view(shape)

    def dequantize(self, q: Tensor) -> Tensor:
        """Real weights in float32, the shape of ``q``."""
        return (q.double() * self.grid(q)).float()

    @cached_property
    def of_rows(self) -> WeightQParams:
        """The same for the rows of a transposed convolution's weight."""
        return WeightQParams(self.scale, self.bound)


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
        factor: By what it was multiplied since it was made, see :meth:`scaled`.
        whole: Whether it is a parameter as it stands, not a part of one.
        zero: Of centred pixels, shape (B, C, H, W): the number that stands for 0.0 in
            each channel; None: it is 0.
    """

    payload: Tensor
    qparams: QParams | WeightQParams | None
    source: str
    constant: bool
    factor: float
    whole: bool
    zero: tuple[int, ...] | None
    _sharing: Sharing
    _seen_writes: int

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
        self.factor = 1.0
        self.whole, self.zero = False, None
        self._sharing = Sharing()
        self._seen_writes = 0
        return self

    def like(self, payload: Tensor) -> QTensor:
        """``payload`` with everything else of this tensor (a view, say)."""
        other = QTensor(payload, self.qparams, self.source, self.constant)
        other.factor, other.zero = self.factor, self.zero
        if shares_memory(payload, self.payload):
            other._sharing, other._seen_writes = self._sharing, self._seen_writes
        return other

    def check_not_overwritten(self) -> None:
        """Make sure that no in-place operation on another view changed this one.

        Raises:
            UnsupportedOperationError: If one did.
        """
        writes = self._sharing.writes
        if any(overlap(self.payload, w) for w in writes[self._seen_writes :]):
            raise UnsupportedOperationError(
                f'{describe_location()}: an in-place operation changed a view of this '
                'tensor, or what this tensor is a view of: make it a new tensor '
                '(x = x + y)'
            )
        self._seen_writes = len(writes)

    def become(self, other: QTensor) -> None:
        """Take over everything of ``other``, whose shape has to be the same.

        Raises:
            UnsupportedOperationError: If the shapes differ.
        """
        if other.payload.shape != self.payload.shape:
            raise UnsupportedOperationError('an in-place operation that broadcasts')
        self._sharing.writes.append(self.payload)
        self._sharing, self._seen_writes, self.whole = Sharing(), 0, False
        self.payload, self.qparams = other.payload, other.qparams
        self.source, self.constant = other.source, other.constant
        self.factor, self.zero = other.factor, other.zero

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
        if not math.isfinite(factor):
            raise UnsupportedOperationError(f'{describe_location()}: times {factor}')
        if factor == 0:  # there is no scale of 0
            return self.like(torch.zeros_like(payload))
        if qparams is not None:
            low, high = qparams.qmin, qparams.qmax
            if factor < 0:
                low, high = -high, -low
            qparams = QParams(qparams.scale * abs(factor), low, high)
        if not self.is_integer:
            payload = payload * factor
        elif factor < 0:
            payload = -payload.to(storage_dtype(qparams.qmin, qparams.qmax))  # type: ignore[union-attr]
        other = QTensor(payload, qparams, self.source, self.constant)
        other.factor = self.factor * factor
        return other

    def shifted(self, constant: Tensor) -> QTensor:
        """Plus a float tensor that depends on no input (an attention mask).

        In integers it is rounded to the scale of this tensor and the range
        grows by it: nothing is requantized and nothing saturates.
        """
        payload, qparams = self.payload, self.qparams
        if isinstance(qparams, QParams):
            constant, qparams = _in_reach(constant, qparams)
        if not self.is_integer:
            payload = payload + constant
        elif isinstance(qparams, QParams):
            steps = (constant.double() / qparams.scale).round().long()
            payload = (payload.long() + steps).clamp_(qparams.qmin, qparams.qmax)
            payload = payload.to(storage_dtype(qparams.qmin, qparams.qmax))
        other = QTensor(payload, qparams, self.source, self.constant)
        other.factor = self.factor
        return other

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


def _in_reach(constant: Tensor, qparams: QParams) -> tuple[Tensor, QParams]:
    """A constant to be added, infinities far but finite, and the quantizer then.

    Raises:
        UnsupportedOperationError: If it is NaN, or the scale is too small for it.
    """
    if constant.numel() == 0:
        return constant, qparams
    scale, far = qparams.scale, _FAR * qparams.scale
    low, high = float(constant.min()), float(constant.max())
    if math.isnan(low) or max(-low, high) > far < _FAR_ENOUGH:
        raise UnsupportedOperationError(
            f'{describe_location()}: adding a constant of {low} to {high} to values in '
            f'steps of {scale}'
        )
    if max(-low, high) > far:
        constant = constant.clamp(-far, far)
    lowest = round(max(low, -far) / scale)
    highest = round(min(high, far) / scale)
    qmin = max(qparams.qmin + min(lowest, 0), -_FAR)
    qmax = min(qparams.qmax + max(highest, 0), _FAR)
    return constant, QParams(scale, qmin, qmax)
