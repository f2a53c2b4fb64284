"""Rules of ``+``, ``-``, ``*`` and ``/``, also in place, and of means."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SMALLER_REGION, unsupported
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
def _rsub(mode: Mode, a: QTensor, b: Operand) -> QTensor:
    return add(mode, a.scaled(-1.0), b)


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
    return _scaled(x, factor)


# Division by a number changes the scale; integers have no quotient of two tensors.
@rule(torch.div, Tensor.div, Tensor.__truediv__, computes=True)
def _div(mode: Mode, a: Operand, b: Operand) -> QTensor:
    if isinstance(b, QTensor) or not isinstance(a, QTensor):
        raise unsupported(
            'division by a tensor of the region has no rule',
            f'multiply by a parameter that holds the reciprocal, or {SMALLER_REGION}',
        )
    return _scaled(a, b, inverse=True)


def _scaled(x: QTensor, factor: Any, inverse: bool = False) -> QTensor:
    """``x`` times (or over) a number, or a float tensor that holds one."""
    if isinstance(factor, Tensor):
        if factor.numel() != 1:
            raise unsupported(
                f'a product with a float tensor of shape {tuple(factor.shape)} that is '
                'neither a parameter nor computed from the input has no rule',
                f'register it as a parameter, or {SMALLER_REGION}',
            )
        if factor.dim() > x.payload.dim():
            shape = torch.broadcast_shapes(x.payload.shape, factor.shape)
            x = x.like(x.payload.expand(shape))
    factor = float(factor)
    return x.scaled(1.0 / factor if inverse else factor)


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


# A sum of integers and one requantization, which divides as well: a site.
@rule(torch.mean, Tensor.mean, computes=True)
def _mean(
    mode: Mode, x: QTensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> QTensor:
    if dim is None:
        dim = tuple(range(x.payload.dim()))
    dim = (dim,) if isinstance(dim, int) else tuple(dim)
    return run_operation(mode, 'mean', [x], dict(dim=dim, keepdim=keepdim))


# Global pooling is a mean; windows of several sizes would need several divisors.
@rule(F.adaptive_avg_pool2d, computes=True)
def _adaptive_avg_pool2d(mode: Mode, x: QTensor, output_size: Any) -> QTensor:
    return _global_pool(mode, x, output_size, 2)


@rule(F.adaptive_avg_pool1d, torch.adaptive_avg_pool1d, computes=True)
def _adaptive_avg_pool1d(mode: Mode, x: QTensor, output_size: Any) -> QTensor:
    return _global_pool(mode, x, output_size, 1)


def _global_pool(mode: Mode, x: QTensor, output_size: Any, dims: int) -> QTensor:
    if output_size not in (1, (1,) * dims, [1] * dims):
        raise unsupported(
            f'average pooling to {output_size} has no rule, only global pooling has'
        )
    return _mean(mode, x, tuple(range(-dims, 0)), keepdim=True)
