"""Rules of functions that do not look at the numbers: shape, type, no-ops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SMALLER_REGION, unsupported
from ..mode import Mode
from ..tensor import QTensor
from .table import rule

#: Questions that the payload answers, whatever its type.
SIZE_QUERIES = [
    Tensor.size,
    Tensor.dim,
    Tensor.ndimension,
    Tensor.numel,
    torch.numel,
    Tensor.nelement,
    Tensor.stride,
    Tensor.is_contiguous,
    Tensor.__len__,
    Tensor.get_device,
    Tensor.data_ptr,
    Tensor.shape.__get__,  # type: ignore[attr-defined]
    Tensor.ndim.__get__,  # type: ignore[attr-defined]
    Tensor.device.__get__,  # type: ignore[attr-defined]
    Tensor.is_cuda.__get__,  # type: ignore[attr-defined]
    Tensor.layout.__get__,  # type: ignore[attr-defined]
    Tensor.is_sparse.__get__,  # type: ignore[attr-defined]
    Tensor.is_quantized.__get__,  # type: ignore[attr-defined]
    Tensor.is_mkldnn.__get__,  # type: ignore[attr-defined]
    Tensor.is_nested.__get__,  # type: ignore[attr-defined]
]


def _size_query_rule(func: Any) -> Any:
    """The rule of ``func``: ask the payload."""

    def query(mode: Mode, x: QTensor, *args: Any, **kwargs: Any) -> Any:
        return func(x.payload, *args, **kwargs)

    return query


for _func in SIZE_QUERIES:
    rule(_func, metadata=True)(_size_query_rule(_func))


# To the model code, integers are the float32 numbers that they stand for.
@rule(Tensor.dtype.__get__, metadata=True)  # type: ignore[attr-defined]
def _dtype(mode: Mode, x: QTensor) -> torch.dtype:
    return x.given or torch.float32


@rule(torch.is_floating_point, Tensor.is_floating_point, metadata=True)
def _is_floating_point(mode: Mode, x: QTensor) -> bool:
    return x.given is None


@rule(Tensor.requires_grad.__get__, metadata=True)  # type: ignore[attr-defined]
def _requires_grad(mode: Mode, x: QTensor) -> bool:
    return x.payload.requires_grad


# A change of float type changes nothing; moving to another device is up to the module
# that holds the region.
@rule(Tensor.to, Tensor.type, Tensor.type_as, Tensor.float)
def _to(mode: Mode, x: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(x, QTensor):
        reference = next(a for a in args if isinstance(a, QTensor))
        return x.to(reference.payload.device, torch.float32)
    for wanted in (*args, *kwargs.values()):
        if isinstance(wanted, Tensor | torch.dtype):
            dtype = wanted if isinstance(wanted, torch.dtype) else wanted.dtype
            if not dtype.is_floating_point:
                raise unsupported(f'a conversion to {dtype} has no rule')
            if dtype != torch.float32:
                return _other_float(mode, x)
    return x


@rule(Tensor.double, Tensor.half)
def _other_float(mode: Mode, x: QTensor) -> QTensor:
    return x.like(x.payload.clone())  # a new tensor, as in torch


# Dropout is the identity at inference.
@rule(F.dropout, torch.dropout, F.dropout2d, torch.feature_dropout)
def _dropout(
    mode: Mode,
    x: QTensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> QTensor:
    if training and p > 0:
        raise unsupported(
            'dropout in training mode has no rule',
            f'call model.eval() first, or {SMALLER_REGION}',
        )
    return x


# They take no number over: the result is a plain float tensor of the model code.
@rule(torch.zeros_like, torch.empty_like, metadata=True)
def _zeros_like(
    mode: Mode, x: QTensor, dtype: torch.dtype | None = None, **kwargs: Any
) -> Tensor:
    dtype = dtype or x.given or torch.float32
    return torch.zeros(x.payload.shape, dtype=dtype, device=x.payload.device)


@rule(Tensor.new_zeros, Tensor.new_empty, metadata=True)
def _new_zeros(mode: Mode, x: QTensor, *size: Any, **kwargs: Any) -> Tensor:
    kwargs.setdefault('dtype', x.given or torch.float32)
    return torch.zeros(*size, device=x.payload.device, **kwargs)
