"""QTensor: a tensor of integers with a scale (of floats while calibration observes)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..intmath import QParams, storage_dtype
from .aliasing import Sharing, overlap, shares_memory
from .errors import SMALLER_REGION, unsupported
from .weight_qparams import WeightQParams

#: Largest magnitude of the integers of an added constant. It is far beyond every
#: value, as an infinite entry of an attention mask has to be.
_FAR = 2**30
#: Least real value of ``_FAR``. Softmax hides a score that is lower by so much:
#: exp(-32) is about 1e-14.
_FAR_ENOUGH = 32.0

#: Answers every torch function that meets a QTensor; see :func:`answer_with`.
_answer: Callable[[Any, tuple, dict], Any]


def answer_with(answer: Callable[[Any, tuple, dict], Any]) -> None:
    """Let ``answer(func, args, kwargs)`` answer the torch functions on QTensors.

    :mod:`iptq_mm.qtensor.rules.dispatch` registers itself here. Rules make QTensors and
    hence import this module, which therefore cannot import them.
    """
    global _answer
    _answer = answer


class QTensor(torch.Tensor):
    """A value in a region, as the model code sees it.

    To the model it looks like a float32 tensor. Every torch function that meets one
    is answered by the rule table; nothing else can reach the numbers. Example::

        >>> import torch
        >>> from iptq_mm.intmath import QParams
        >>> q = torch.tensor([-4, 0, 6], dtype=torch.int8)
        >>> x = QTensor(q, QParams(scale=0.5, qmin=-128, qmax=127), 'input:0')
        >>> x.real_values()
        tensor([-2.,  0.,  3.])
        >>> y = x.scaled(-10.0)  # the scale changes; of the integers only the sign
        >>> y.payload.tolist(), y.qparams
        ([4, 0, -6], QParams(scale=5.0, qmin=-127, qmax=128, levels=None))
        >>> z = x.add_constant(torch.tensor([0.0, 0.0, -100.0]))  # a mask
        >>> z.payload.tolist(), z.qparams
        ([-4, 0, -194], QParams(scale=0.5, qmin=-328, qmax=127, levels=None))

    Attributes:
        payload: The numbers: integers, or floats in the float modes.
        qparams: The quantizer of the integers; None before calibration.
        source: Name of the site, parameter or region input that made the value. Views
            keep it.
        constant: Whether the value depends on parameters only.
        factor: Product of the numbers that the value was multiplied by since it was
            made, see :meth:`scaled`.
        whole: Whether it is a complete parameter, not a part of one.
        given: Type of the integers or booleans that the region was given (token ids, a
            mask), or that were computed from them; the model code sees this type. None:
            a tensor of floats.
        derived: Whether given integers were computed with.
        exact: Whether the value is made of given integers by exact steps only, or an
            additive mask that was given; see :mod:`.rules.given`.
        zero_point: Of centred pixels, shape (B, C, H, W): the integer of each channel
            that stands for 0.0. None for every other value: it is 0.
    """

    payload: Tensor
    qparams: QParams | WeightQParams | None
    source: str
    constant: bool
    factor: float
    whole: bool
    zero_point: tuple[int, ...] | None
    given: torch.dtype | None
    derived: bool
    exact: bool
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
        self.whole, self.zero_point = False, None
        self.given, self.derived, self.exact = None, False, False
        self._sharing = Sharing()
        self._seen_writes = 0
        return self

    def like(self, payload: Tensor) -> QTensor:
        """``payload`` with the quantizer, source and factor of this tensor."""
        other = QTensor(payload, self.qparams, self.source, self.constant)
        other.factor, other.zero_point = self.factor, self.zero_point
        other.given, other.derived = self.given, self.derived
        other.exact = self.exact
        if shares_memory(payload, self.payload):
            other._sharing, other._seen_writes = self._sharing, self._seen_writes
        return other

    def check_not_overwritten(self, but: Tensor | None = None) -> None:
        """Make sure that no in-place operation on another view changed this tensor.

        Args:
            but: A view of the payload that is about to be overwritten, and so does not
                matter; None: there is none.

        Raises:
            UnsupportedOperationError: If one did.
        """
        writes = self._sharing.writes[self._seen_writes :]
        if any(overlap(self.payload, w, but) for w in writes):
            raise unsupported(
                'an in-place operation changed a view of this tensor, or the tensor '
                'that this one is a view of',
                'make a new tensor instead: x = x + y in the place of x += y',
            )
        self._seen_writes = len(self._sharing.writes)

    def become(self, other: QTensor) -> None:
        """Replace this tensor's value by that of ``other``, as in-place operations do.

        Raises:
            UnsupportedOperationError: If the shapes differ.
        """
        if other.payload.shape != self.payload.shape:
            raise unsupported(
                f'an in-place operation broadcasts a tensor of shape '
                f'{tuple(self.payload.shape)} to {tuple(other.payload.shape)}',
                'make a new tensor instead: x = x + y in the place of x += y',
            )
        self._sharing.writes.append(self.payload)
        self._sharing, self._seen_writes, self.whole = Sharing(), 0, False
        self.payload, self.qparams = other.payload, other.qparams
        self.source, self.constant = other.source, other.constant
        self.factor, self.zero_point = other.factor, other.zero_point
        self.given, self.derived = other.given, other.derived
        self.exact = other.exact

    @property
    def plain(self) -> bool:
        """Whether these are given integers as they entered, moved at most."""
        return self.given is not None and not self.derived

    @property
    def is_integer(self) -> bool:
        """Whether the payload holds integers, as it does in integer mode."""
        return not self.payload.is_floating_point()

    def real_values(self) -> Tensor:
        """The real values in float32."""
        if not self.is_integer:
            return self.payload
        assert self.qparams is not None
        return self.qparams.dequantize(self.payload)

    def scaled(self, factor: float) -> QTensor:
        """The tensor times a number. Only the scale changes, and the sign of integers.

        Raises:
            UnsupportedOperationError: If it is a weight, or ``factor`` is not finite.
        """
        payload, qparams = self.payload, self.qparams
        if isinstance(qparams, WeightQParams):
            raise unsupported(
                'a weight with one scale per channel cannot be multiplied by a number',
                f'multiply the output of its layer instead, or {SMALLER_REGION}',
            )
        if not math.isfinite(factor):
            raise unsupported(
                f'values are multiplied by {factor}, which no scale expresses',
                'look for a division by zero in the model code',
            )
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
        other.factor, other.exact = self.factor * factor, self.exact
        return other

    def add_constant(self, constant: Tensor) -> QTensor:
        """The tensor plus a float tensor that depends on no input (an attention mask).

        In integer mode the constant is rounded to the scale of this tensor and added
        to the integers, whose range grows accordingly. Nothing is requantized and
        nothing saturates, but for infinite entries: their integers are ``2**30``.

        Raises:
            UnsupportedOperationError: If the constant holds NaN, or the scale is too
                small to express it.
        """
        payload, qparams = self.payload, self.qparams
        if isinstance(qparams, QParams):
            constant, wider = _in_reach(constant, qparams)
            if self.exact and constant.numel() == 1:  # the bounds, and no wider range
                step = round(float(constant) / qparams.scale)
                low, high = qparams.qmin + step, qparams.qmax + step
                wider = QParams(qparams.scale, min(low, 0), max(high, 0))
            qparams = wider
        if not self.is_integer:
            payload = payload + constant
        elif isinstance(qparams, QParams):
            # Masks of large images are large: no more copies than needed.
            steps = constant.to(torch.float64, copy=True).div_(qparams.scale)
            steps = steps.round_().long()
            payload = (payload.long() + steps).clamp_(qparams.qmin, qparams.qmax)
            payload = payload.to(storage_dtype(qparams.qmin, qparams.qmax))
        other = QTensor(payload, qparams, self.source, self.constant)
        other.factor, other.exact = self.factor, self.exact
        return other

    def __repr__(self) -> str:  # type: ignore[override]
        """Shape, dtype of the payload and source, never the numbers."""
        return (
            f'QTensor({tuple(self.payload.shape)}, {self.payload.dtype}, '
            f'{self.qparams}, source={self.source!r})'
        )

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Answer ``func`` from the rule table (:func:`.rules.dispatch.answer`)."""
        return _answer(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Refuse every aten operation: no rule calls one on a QTensor itself."""
        raise unsupported(
            f'{func} would touch the integers behind the rule table',
            f'call the torch function that has a rule, or {SMALLER_REGION}',
        )


def _in_reach(constant: Tensor, qparams: QParams) -> tuple[Tensor, QParams]:
    """A constant without infinities, and the quantizer of values that it is added to.

    Raises:
        UnsupportedOperationError: If it holds NaN, or the scale is too small for it.
    """
    if constant.numel() == 0:
        return constant, qparams
    scale, far = qparams.scale, _FAR * qparams.scale
    low, high = map(float, constant.aminmax())
    if math.isnan(low):
        raise unsupported(
            'a constant that holds nan is added', 'check the mask in the model code'
        )
    if max(-low, high) > far < _FAR_ENOUGH:
        raise unsupported(
            f'adding a constant of {low} to {high} to values with the scale {scale}, '
            'which is too small to express it',
            'calibrate with images for which these values are not all 0',
        )
    if max(-low, high) > far:
        constant = constant.clamp(-far, far)
    lowest = round(max(low, -far) / scale)
    highest = round(min(high, far) / scale)
    qmin = max(qparams.qmin + min(lowest, 0), -_FAR)
    qmax = min(qparams.qmax + max(highest, 0), _FAR)
    return constant, QParams(scale, qmin, qmax)
