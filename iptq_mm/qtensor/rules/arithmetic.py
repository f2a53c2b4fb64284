"""Rules of ``+``, ``-``, ``*``, ``/`` and powers, also in place."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor

from ..errors import unsupported
from ..hiding import hide_by, hides
from ..mode import Mode
from ..tensor import QTensor
from .dispatch import apply_rule
from .operands import Operand, run_operation
from .table import rule

#: Magnitude from which on a constant is taken for an attention mask: Softmax of a score
#: that is lower by 32 is exp(-32), about 1e-14.
_MASK = 32.0


# Two tensors of different scales: a site, which requantizes both. A number moves the
# integers: no site.
@rule(torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, computes=True)
def add(mode: Mode, a: Operand, b: Operand, *, alpha: float = 1) -> QTensor:
    """A sum, see :func:`_is_embedding` for float tensors of the model code."""
    if alpha != 1:
        b = b.scaled(alpha) if isinstance(b, QTensor) else b * alpha
    if isinstance(a, QTensor) and isinstance(b, QTensor):
        if hides(b):
            return hide_by(a, b)
        if hides(a):
            return add(mode, b, a)
        return run_operation(mode, 'add', [a, b], {})
    x, constant = (a, b) if isinstance(a, QTensor) else (b, a)
    if isinstance(constant, Real) and constant == 0:
        return x.like(x.payload.clone())
    if not isinstance(constant, Tensor):
        constant = torch.tensor(float(constant), device=x.payload.device)
    if _is_embedding(constant):
        return run_operation(mode, 'add', [x, mode.constant(constant)], {})
    return x.add_constant(constant)


def _is_embedding(constant: Tensor) -> bool:
    """Whether a float tensor that is added is an embedding: ``0 < max|c| < 32``.

    An embedding becomes a quantized operand of a site, whose output range is
    calibrated. Everything else is treated as an attention mask: it is rounded to the
    scale of the other operand and widens the range of the integers. That is no site,
    and has these consequences:

    * -100 and -inf, which hide scores from Softmax, do not spoil a calibrated range.
    * A mask of zeros, which hides nothing, is none either, so that images with and
      without hidden tokens have the same sites.
    * A positive constant of 32 or more is also taken for a mask. That is correct, but
      the sum has the scale of its first operand and more bits than an embedding's.
    * A tensor of one element is no site, like a number.
    """
    if constant.numel() <= 1:
        return False
    low, high = constant.aminmax()
    return 0 < max(-float(low), float(high)) < _MASK


@rule(torch.sub, Tensor.sub, Tensor.__sub__, computes=True)
def _sub(mode: Mode, a: Operand, b: Operand, *, alpha: float = 1) -> QTensor:
    return add(mode, a, b, alpha=-alpha)


@rule(torch.rsub, Tensor.__rsub__, computes=True)
def _rsub(mode: Mode, a: Operand, b: Operand, *, alpha: float = 1) -> QTensor:
    return add(mode, b, a, alpha=-alpha)


# Negating integers keeps the scale and mirrors the range.
@rule(torch.neg, Tensor.neg, Tensor.__neg__, computes=True)
def _neg(mode: Mode, x: QTensor) -> QTensor:
    return x.scaled(-1.0)


# Two tensors: a site. A number, or a tensor that holds one, changes the scale only.
@rule(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, computes=True)
def _mul(mode: Mode, a: Operand, b: Operand) -> QTensor:
    if isinstance(a, QTensor) and isinstance(b, QTensor):
        return run_operation(mode, 'mul', [a, b], {})
    x, factor = (a, b) if isinstance(a, QTensor) else (b, a)
    return _scaled(mode, x, factor)


# Division by a number, or by what depends on parameters only, is a product; by a value,
# one with its reciprocal, which is a table.
@rule(
    torch.div,
    Tensor.div,
    torch.true_divide,
    Tensor.true_divide,
    Tensor.__truediv__,
    computes=True,
)
def _div(mode: Mode, a: Operand, b: Operand, *, rounding_mode: Any = None) -> QTensor:
    if rounding_mode is not None:
        raise unsupported('division that rounds its quotient has no rule')
    if not isinstance(b, QTensor):
        return _scaled(mode, a, b, inverse=True)
    if b.constant:
        inverse = mode.fold(torch.reciprocal, (b,), {})
    else:
        inverse = run_operation(mode, 'unary', [b], {'name': 'reciprocal'})
    return apply_rule(mode, torch.mul, (inverse, a), {})


@rule(Tensor.__rtruediv__, Tensor.__rdiv__, computes=True)
def _rdiv(mode: Mode, a: Operand, b: Operand) -> QTensor:
    return _div(mode, b, a)


def _scaled(mode: Mode, x: QTensor, factor: Any, inverse: bool = False) -> QTensor:
    """``x`` times (or over) a number, or a float tensor of the model code."""
    if isinstance(factor, Tensor) and factor.numel() != 1:
        factor = 1.0 / factor if inverse else factor
        if factor.unique().numel() != 1:  # a rotary embedding, a mask of ones and zeros
            return run_operation(mode, 'mul', [x, mode.constant(factor)], {})
        inverse = False
    if isinstance(factor, Tensor):
        shape = torch.broadcast_shapes(x.payload.shape, factor.shape)
        if shape != x.payload.shape:
            x = x.like(x.payload.expand(shape))
        factor = factor.flatten()[0]
    factor = float(factor)
    return x.scaled(1.0 / factor if inverse else factor)


# Integer powers are products; others are tables.
@rule(torch.pow, Tensor.pow, Tensor.__pow__, computes=True)
def _pow(mode: Mode, x: Operand, exponent: Any) -> QTensor:
    if isinstance(exponent, Tensor) or not isinstance(x, QTensor):
        raise unsupported('a power with a tensor as exponent has no rule')
    if exponent in (1, 2, 3, 4):
        result = x.like(x.payload.clone()) if exponent == 1 else x
        if exponent >= 2:
            result = run_operation(mode, 'mul', [x, x], {})
        if exponent >= 3:
            other = x if exponent == 3 else result
            result = run_operation(mode, 'mul', [result, other], {})
        return result
    names = {0.5: 'sqrt', -0.5: 'rsqrt', -1: 'reciprocal'}
    attributes = {'name': names.get(exponent, 'pow')}
    if exponent not in names:
        attributes['exponent'] = exponent
    return run_operation(mode, 'unary', [x], attributes)


@rule(torch.square, Tensor.square, computes=True)
def _square(mode: Mode, x: QTensor) -> QTensor:
    return run_operation(mode, 'mul', [x, x], {})


def _in_place(function: Any) -> Any:
    """The rule of an in-place method: the tensor object takes the result."""

    def update(mode: Mode, x: Any, *args: Any, **kwargs: Any) -> QTensor:
        if not isinstance(x, QTensor):
            raise unsupported(
                'an in-place operation would write values of the region to a plain '
                'tensor',
                'make a new tensor instead: y = y + x in the place of y += x',
            )
        x.become(apply_rule(mode, function, (x, *args), kwargs))
        return x

    return update


rule(Tensor.add_, Tensor.__iadd__)(_in_place(torch.add))
rule(Tensor.sub_, Tensor.__isub__)(_in_place(torch.sub))
rule(Tensor.mul_, Tensor.__imul__)(_in_place(torch.mul))
rule(Tensor.div_, Tensor.__itruediv__)(_in_place(torch.div))
