"""Rules by which masks hide scores: ``masked_fill`` and ``where``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import unsupported
from ...hiding import ADDITIVE, HIDDEN, hide
from ...mode import Mode
from ...tensor import QTensor
from ..table import TAKES_GIVEN, rule

_FILL = (torch.masked_fill, Tensor.masked_fill)
TAKES_GIVEN.update({*_FILL, Tensor.masked_fill_, torch.where, Tensor.where})


@rule(*_FILL, computes=True)
def masked_fill(mode: Mode, x: QTensor, mask: Any, value: Any) -> QTensor:
    """Scores hidden where a mask is true; ``value`` only has to be low enough."""
    _check_low(value)
    if not isinstance(x, QTensor):
        return _additive(mode, x, mask)
    return hide(x, mask.payload if isinstance(mask, QTensor) else mask)


@rule(Tensor.masked_fill_, computes=True)
def _masked_fill_in_place(mode: Mode, x: QTensor, mask: Any, value: Any) -> QTensor:
    made = masked_fill(mode, x, mask, value)
    if isinstance(x, QTensor):
        x.become(made)
        return x
    x.__class__ = _Filled  # it cannot hold a value of the region
    return made


@rule(torch.where, Tensor.where, computes=True)
def _where(mode: Mode, *args: Any) -> QTensor:
    # The method has its tensor first: x.where(condition, other).
    condition, seen, hidden = args
    if isinstance(condition, QTensor) and condition.given is None:
        condition, seen = seen, condition
    if isinstance(seen, QTensor) and not isinstance(hidden, QTensor):
        return masked_fill(mode, seen, ~condition, hidden)
    if isinstance(hidden, QTensor) and not isinstance(seen, QTensor):
        return masked_fill(mode, hidden, condition, seen)
    raise unsupported(
        'where with two tensors has no rule, only with one and a number that is lower '
        'than any score (an attention mask) has it'
    )


class _Filled(Tensor):
    """A plain tensor that model code has filled by a mask of the region.

    What ``masked_fill_`` returned is the value; this one is not to be read any more.
    """

    @classmethod
    def __torch_function__(cls, *args: Any, **kwargs: Any) -> Any:
        """Raise."""
        raise unsupported(
            'a plain tensor is read that masked_fill_ has filled by a given mask',
            'use what masked_fill returns',
        )


def _additive(mode: Mode, x: Tensor, mask: QTensor) -> QTensor:
    """An additive mask: zeros, filled where a boolean mask hides.

    ``nn.MultiheadAttention`` makes such masks of the booleans that it is given.
    """
    if mask.given != torch.bool or bool(x.any()):
        raise unsupported(
            'masked_fill of a plain tensor by a mask of the region has no rule, only '
            'of zeros by booleans'
        )
    real: Any = mode.real_of_given(mask)
    return real.expand(x.shape) * -ADDITIVE.scale


def _check_low(value: Any) -> None:
    """Make sure that a number is one by which attention masks hide scores."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise unsupported('masked_fill with more than one number has no rule')
    if not isinstance(value, QTensor) and float(value) <= -HIDDEN:
        return
    raise unsupported(
        f'masked_fill with {value!r} has no rule, only with a number that is lower '
        f'than any score (-inf, or at most {-HIDDEN}: an attention mask) has it'
    )
