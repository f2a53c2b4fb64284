"""Rules of operations that compute: torch's spelling to ours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .arithmetic_rules import add
from .errors import UnsupportedOperationError
from .operands import Operand, check_parameters, run_operation
from .padding import padded_for, pair
from .rules import rule
from .tensor import QTensor


@rule(F.linear, computes=True)
def _linear(mode: Any, x: Operand, weight: Operand, bias: Operand = None) -> QTensor:
    check_parameters(weight, bias, whole=True)
    return run_operation(mode, 'linear', [x, weight, bias], {})


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
    check_parameters(weight, bias, whole=True)
    return run_operation(mode, 'conv2d', [x, weight, bias], attributes)


@rule(
    torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, computes=True
)
def _matmul(mode: Any, a: Operand, b: Operand) -> QTensor:
    return run_operation(mode, 'matmul', [a, b], {})


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
        scores = add(mode, scores, attn_mask)
    return _matmul(mode, _softmax(mode, scores, -1), value)


@rule(F.softmax, torch.softmax, Tensor.softmax, computes=True)
def _softmax(mode: Any, x: QTensor, dim: int, *args: Any, **kwargs: Any) -> QTensor:
    if dim not in (-1, x.payload.dim() - 1):
        return _softmax(mode, x.transpose(dim, -1), -1).transpose(dim, -1)
    return run_operation(mode, 'softmax', [x], {})


@rule(F.gelu, computes=True)
def _gelu(mode: Any, x: QTensor, approximate: str = 'none') -> QTensor:
    return run_operation(mode, 'gelu', [x], dict(approximate=approximate))


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
    check_parameters(weight, bias, whole=False)
    return run_operation(mode, 'layer_norm', [x, weight, bias], dict(eps=eps))


@rule(torch.cat, torch.concat, computes=True)
def _cat(mode: Any, tensors: Any, dim: int = 0) -> QTensor:
    if not all(isinstance(t, QTensor) for t in tensors):
        tensors = [t if isinstance(t, QTensor) else mode.constant(t) for t in tensors]
    return run_operation(mode, 'cat', list(tensors), dict(dim=dim))


@rule(torch.mean, Tensor.mean, computes=True)
def _mean(
    mode: Any, x: QTensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> QTensor:
    if dim is None:
        dim = tuple(range(x.payload.dim()))
    dim = (dim,) if isinstance(dim, int) else tuple(dim)
    return run_operation(mode, 'mean', [x], dict(dim=dim, keepdim=keepdim))


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
