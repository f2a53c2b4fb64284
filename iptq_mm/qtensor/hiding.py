"""Scores that a mask hides from Softmax, exactly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..intmath import QParams, storage_dtype
from .errors import unsupported
from .tensor import QTensor

#: Real distance below every visible score at which every integer function has the
#: exponential 0: ``exp(-32)`` is below ``2**-46``.
HIDDEN = 32.0
#: Quantizer of additive masks that a region is given: -1 hides, 0 does not.
ADDITIVE = QParams(1000.0, -1, 0)
#: Numbers of at most that hide, in additive masks that are given: half of a step.
HIDES = -500.0
#: Largest magnitude of an integer that is hidden.
_MOST = 2**30


def hide(scores: QTensor, mask: Tensor, sign: int = -1) -> QTensor:
    """Scores, those that a mask hides so far below all others that they count nothing.

    Their integers are ``q - far``, and the range grows by that. Nothing is requantized,
    and the others keep their integers: whether and where a mask hides something changes
    no other score by a bit.

    Args:
        scores: Any scale.
        mask: Integers or booleans of a shape that broadcasts: 0 where a score is seen,
            ``-sign`` where it is hidden.
        sign: 1 or -1.

    Raises:
        UnsupportedOperationError: If the scale of the scores is too small.
    """
    payload, qparams = scores.payload, scores.qparams
    if not isinstance(qparams, QParams):  # not calibrated yet
        low = float(payload.detach().amin()) if payload.numel() else 0.0
        high = float(payload.detach().amax()) if payload.numel() else 0.0
        return _like(scores, payload + mask * (sign * (high - low + HIDDEN)), None)
    far = qparams.qmax - qparams.qmin + math.ceil(HIDDEN / qparams.scale)
    if far - qparams.qmin > _MOST:
        raise unsupported(
            f'a mask hides scores with the scale {qparams.scale}, which is too small '
            'to tell hidden ones from others',
            'calibrate with inputs for which these scores are not all 0',
        )
    wider = QParams(qparams.scale, qparams.qmin - far, qparams.qmax)
    if not scores.is_integer:
        return _like(scores, payload + mask * (sign * far * qparams.scale), wider)
    # One function, for which tracing has a node: a sum with a multiple.
    hidden = torch.add(payload.long(), mask.long(), alpha=sign * far)
    hidden = hidden.clamp_(wider.qmin, wider.qmax)
    return _like(scores, hidden.to(storage_dtype(wider.qmin, wider.qmax)), wider)


def _like(scores: QTensor, payload: Tensor, qparams: QParams | None) -> QTensor:
    other = QTensor(payload, qparams, scores.source, scores.constant)
    other.factor = scores.factor
    return other


def hides(mask: QTensor) -> bool:
    """Whether what is added is a mask: 0, or so low that Softmax hides the score."""
    qparams = mask.qparams
    if not mask.exact or not isinstance(qparams, QParams):
        return False
    return qparams.qmax == 0 and qparams.scale >= HIDDEN


def hide_by(scores: QTensor, mask: QTensor) -> QTensor:
    """Scores plus an additive mask, for which :func:`hides` holds."""
    if mask.is_integer:  # -1 hides
        return hide(scores, mask.payload, sign=1)
    return hide(scores, mask.payload < 0)


def is_additive_mask(name: str, value: Tensor) -> bool:
    """Whether a float tensor that a region is given is an additive mask.

    All its numbers are 0, or so low that they can only mean minus infinity. One that is
    0 everywhere is taken for a mask if it has the shape of one, (B, 1, queries, keys).

    Args:
        name: Name of the input. The first input is never a mask.
        value: The tensor.
    """
    if name == 'input:0' or not value.numel():
        return False
    low = value <= HIDES
    if not bool((low | (value == 0)).all()):
        return False
    return bool(low.any()) or (value.dim() == 4 and value.shape[1] == 1)
