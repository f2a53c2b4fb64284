"""Rules of ``+``, ``-``, ``*`` and ``/``, in place, too."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor

from .errors import UnsupportedOperationError
from .operands import Operand, run_operation
from .rules import apply_rule, rule
from .tensor import QTensor

#: A constant that reaches below this is a mask, which hides from Softmax and must
#: not widen the range of a sum; any other is an embedding, a sum like all others.
_HIDING = -32.0


@rule(torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, computes=True)
def add(mode: Any, a: Operand, b: Operand, *, alpha: float = 1) -> QTensor:
    """A sum. A mask or a number moves the integers only: that is no site."""
    if alpha != 1:
        b = b.scaled(alpha) if isinstance(b, QTensor) else b * alpha
    if isinstance(a, QTensor) and isinstance(b, QTensor):
        return run_operation(mode, 'add', [a, b], {})
    x, constant = (a, b) if isinstance(a, QTensor) else (b, a)
    if isinstance(constant, Real) and constant == 0:
        return x.like(x.payload.clone())
    if not isinstance(constant, Tensor):
        constant = torch.tensor(float(constant), device=x.payload.device)
    if constant.numel() > 1 and _HIDING < float(constant.abs().neg().min()) < 0:
        return run_operation(mode, 'add', [x, mode.constant(constant)], {})
    return x.shifted(constant)


@rule(torch.sub, Tensor.sub, Tensor.__sub__, computes=True)
def _sub(mode: Any, a: Operand, b: Operand, *, alpha: float = 1) -> QTensor:
    return add(mode, a, b, alpha=-alpha)


@rule(torch.neg, Tensor.neg, Tensor.__neg__, computes=True)
def _neg(mode: Any, x: QTensor) -> QTensor:
    return x.scaled(-1.0)


@rule(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, computes=True)
def _mul(mode: Any, a: Operand, b: Operand) -> QTensor:
    if isinstance(a, QTensor) and isinstance(b, QTensor):
        return run_operation(mode, 'mul', [a, b], {})
    x, factor = (a, b) if isinstance(a, QTensor) else (b, a)
    return _scaled(x, factor)


def _scaled(x: QTensor, factor: Any, inverse: bool = False) -> QTensor:
    """Times (or over) a number, or a tensor that holds one."""
    if isinstance(factor, Tensor):
        if factor.numel() != 1:
            raise UnsupportedOperationError('a product with a plain float tensor')
        if factor.dim() > x.payload.dim():
            shape = torch.broadcast_shapes(x.payload.shape, factor.shape)
            x = x.like(x.payload.expand(shape))
    factor = float(factor)
    return x.scaled(1.0 / factor if inverse else factor)


@rule(torch.div, Tensor.div, Tensor.__truediv__, computes=True)
def _div(mode: Any, a: Operand, b: Operand) -> QTensor:
    if isinstance(b, QTensor) or not isinstance(a, QTensor):
        raise UnsupportedOperationError('division by a tensor')
    return _scaled(a, b, inverse=True)


def _in_place(function: Any) -> Any:
    """The rule of an in-place method: the tensor object takes the result."""

    def update(mode: Any, x: Any, *args: Any, **kwargs: Any) -> QTensor:
        if not isinstance(x, QTensor):
            raise UnsupportedOperationError('an in-place change of a plain tensor')
        x.become(apply_rule(mode, function, (x, *args), kwargs))
        return x

    return update


rule(Tensor.add_, Tensor.__iadd__)(_in_place(torch.add))
rule(Tensor.sub_, Tensor.__isub__)(_in_place(torch.sub))
rule(Tensor.mul_, Tensor.__imul__)(_in_place(torch.mul))
rule(Tensor.div_, Tensor.__itruediv__)(_in_place(torch.div))
