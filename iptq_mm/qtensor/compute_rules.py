"""Rules of operations that compute: torch's spelling to ours."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..operations import OPERATIONS
from .errors import UnsupportedOperationError
from .padding import padded_for, pair
from .rules import apply_rule, rule
from .tensor import QTensor

Operand = Any

#: A constant that reaches below this is a mask, which hides from Softmax and must
#: not widen the range of a sum; any other is an embedding, a sum like all others.
_HIDING = -32.0


def _run(mode: Any, kind: str, operands: list[Operand], attributes: dict) -> QTensor:
    """Hand an operation to the mode.

    Raises:
        UnsupportedOperationError: If an operand is a plain float tensor.
    """
    for operand in operands:
        if not (operand is None or isinstance(operand, QTensor)):
            raise UnsupportedOperationError(
                f'{kind} of a float tensor that is neither parameter nor input of the '
                'region'
            )
    return mode.run(OPERATIONS[kind], operands, attributes)


def _check_parameters(weight: Operand, bias: Operand, whole: bool) -> None:
    """Raise where a layer's parameters depend on the input, or a weight is cut."""
    for operand in (weight, bias):
        if isinstance(operand, QTensor) and not operand.constant:
            raise UnsupportedOperationError(
                'a weight or bias that depends on the input'
            )
    if whole and isinstance(weight, QTensor) and not weight.whole:
        raise UnsupportedOperationError(
            'a weight that is cut or computed from parameters'
        )


@rule(F.linear, computes=True)
def _linear(mode: Any, x: Operand, weight: Operand, bias: Operand = None) -> QTensor:
    _check_parameters(weight, bias, whole=True)
    return _run(mode, 'linear', [x, weight, bias], {})


@rule(F.conv2d, computes=True)
def _conv2d(
    mode: Any,
    x: Operand,
    weight: Operand,
    bias: Operand = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> QTensor:
    if isinstance(x, QTensor) and x.zero is not None:
        x, padding = padded_for(x, padding), 0
    attributes = dict(
        stride=pair(stride),
        padding=pair(padding),
        dilation=pair(dilation),
        groups=groups,
    )
    _check_parameters(weight, bias, whole=True)
    return _run(mode, 'conv2d', [x, weight, bias], attributes)


@rule(
    torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, computes=True
)
def _matmul(mode: Any, a: Operand, b: Operand) -> QTensor:
    return _run(mode, 'matmul', [a, b], {})


@rule(F.scaled_dot_product_attention, computes=True)
def _attention(
    mode: Any,
    query: QTensor,
    key: QTensor,
    value: QTensor,
    attn_mask: Operand = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **kwargs: Any,
) -> QTensor:
    if dropout_p or is_causal or kwargs.get('enable_gqa'):
        raise UnsupportedOperationError(
            'attention with dropout, a causal mask or grouped queries'
        )
    if not isinstance(query, QTensor) or not isinstance(key, QTensor):
        raise UnsupportedOperationError('attention of a plain float tensor')
    scale = query.payload.shape[-1] ** -0.5 if scale is None else scale
    scores = _matmul(mode, query.scaled(scale), key.transpose(-2, -1))
    if attn_mask is not None:
        if isinstance(attn_mask, Tensor) and attn_mask.dtype == torch.bool:
            zeros = torch.zeros(attn_mask.shape, device=attn_mask.device)
            attn_mask = zeros.masked_fill(~attn_mask, -1e4)
        scores = _add(mode, scores, attn_mask)
    return _matmul(mode, _softmax(mode, scores, -1), value)


@rule(F.softmax, torch.softmax, Tensor.softmax, computes=True)
def _softmax(mode: Any, x: QTensor, dim: int, *args: Any, **kwargs: Any) -> QTensor:
    if dim not in (-1, x.payload.dim() - 1):
        return _softmax(mode, x.transpose(dim, -1), -1).transpose(dim, -1)
    return _run(mode, 'softmax', [x], {})


@rule(F.gelu, computes=True)
def _gelu(mode: Any, x: QTensor, approximate: str = 'none') -> QTensor:
    return _run(mode, 'gelu', [x], dict(approximate=approximate))


@rule(F.layer_norm, torch.layer_norm, computes=True)
def _layer_norm(
    mode: Any,
    x: QTensor,
    normalized_shape: Any,
    weight: Operand = None,
    bias: Operand = None,
    eps: float = 1e-5,
    *args: Any,
) -> QTensor:
    if tuple(normalized_shape) != tuple(x.payload.shape[-1:]):
        raise UnsupportedOperationError(
            f'LayerNorm over {tuple(normalized_shape)}; only the last dimension has a '
            'rule'
        )
    _check_parameters(weight, bias, whole=False)
    return _run(mode, 'layer_norm', [x, weight, bias], dict(eps=eps))


@rule(torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, computes=True)
def _add(mode: Any, a: Operand, b: Operand, *, alpha: float = 1) -> QTensor:
    if alpha != 1:
        b = b.scaled(alpha) if isinstance(b, QTensor) else b * alpha
    if isinstance(a, QTensor) and isinstance(b, QTensor):
        return _run(mode, 'add', [a, b], {})
    x, constant = (a, b) if isinstance(a, QTensor) else (b, a)
    if isinstance(constant, Real) and constant == 0:
        return x.like(x.payload.clone())
    if not isinstance(constant, Tensor):
        constant = torch.tensor(float(constant), device=x.payload.device)
    if constant.numel() > 1 and _HIDING < float(constant.abs().neg().min()) < 0:
        return _run(mode, 'add', [x, mode.constant(constant)], {})
    return x.shifted(constant)


@rule(torch.sub, Tensor.sub, Tensor.__sub__, computes=True)
def _sub(mode: Any, a: Operand, b: Operand, *, alpha: float = 1) -> QTensor:
    return _add(mode, a, b, alpha=-alpha)


@rule(torch.neg, Tensor.neg, Tensor.__neg__, computes=True)
def _neg(mode: Any, x: QTensor) -> QTensor:
    return x.scaled(-1.0)


@rule(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, computes=True)
def _mul(mode: Any, a: Operand, b: Operand) -> QTensor:
    if isinstance(a, QTensor) and isinstance(b, QTensor):
        return _run(mode, 'mul', [a, b], {})
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


@rule(torch.cat, torch.concat, computes=True)
def _cat(mode: Any, tensors: Any, dim: int = 0) -> QTensor:
    if not all(isinstance(t, QTensor) for t in tensors):
        tensors = [t if isinstance(t, QTensor) else mode.constant(t) for t in tensors]
    return _run(mode, 'cat', list(tensors), dict(dim=dim))


@rule(torch.mean, Tensor.mean, computes=True)
def _mean(
    mode: Any, x: QTensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> QTensor:
    if dim is None:
        dim = tuple(range(x.payload.dim()))
    dim = (dim,) if isinstance(dim, int) else tuple(dim)
    return _run(mode, 'mean', [x], dict(dim=dim, keepdim=keepdim))


@rule(F.adaptive_avg_pool2d, computes=True)
def _adaptive_avg_pool2d(mode: Any, x: QTensor, output_size: Any) -> QTensor:
    return _global_pool(mode, x, output_size, 2)


@rule(F.adaptive_avg_pool1d, torch.adaptive_avg_pool1d, computes=True)
def _adaptive_avg_pool1d(mode: Any, x: QTensor, output_size: Any) -> QTensor:
    return _global_pool(mode, x, output_size, 1)


def _global_pool(mode: Any, x: QTensor, output_size: Any, dims: int) -> QTensor:
    if output_size not in (1, (1,) * dims, [1] * dims):
        raise UnsupportedOperationError(
            f'pooling to {output_size}; only global pooling has a rule'
        )
    return _mean(mode, x, tuple(range(-dims, 0)), keepdim=True)


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
