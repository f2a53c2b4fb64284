"""Rules of operations that move numbers without changing them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from .errors import UnsupportedOperationError
from .padding import padded
from .rules import function_name, rule
from .tensor import QTensor, WeightQParams

_VIEWS = [
    Tensor.view,
    Tensor.reshape,
    torch.reshape,
    Tensor.flatten,
    torch.flatten,
    Tensor.unflatten,
    Tensor.permute,
    torch.permute,
    Tensor.transpose,
    torch.transpose,
    Tensor.swapaxes,
    Tensor.movedim,
    torch.movedim,
    Tensor.squeeze,
    torch.squeeze,
    Tensor.unsqueeze,
    torch.unsqueeze,
    Tensor.expand,
    Tensor.repeat,
    Tensor.repeat_interleave,
    torch.repeat_interleave,
    Tensor.tile,
    Tensor.contiguous,
    Tensor.clone,
    torch.clone,
    Tensor.detach,
    Tensor.chunk,
    torch.chunk,
    Tensor.split,
    torch.split,
    Tensor.unbind,
    torch.unbind,
    Tensor.roll,
    torch.roll,
    Tensor.flip,
    torch.flip,
    Tensor.rot90,
    torch.rot90,
    Tensor.narrow,
    Tensor.select,
    torch.select,
    Tensor.index_select,
    torch.index_select,
    Tensor.take_along_dim,
    torch.take_along_dim,
    Tensor.gather,
    torch.gather,
    Tensor.__getitem__,
    Tensor.T.__get__,  # type: ignore[attr-defined]
    Tensor.mT.__get__,  # type: ignore[attr-defined]
    F.pixel_shuffle,
    F.pixel_unshuffle,
]


#: Of these, the ones that leave a weight what it is.
_SAME = [Tensor.contiguous, Tensor.clone, torch.clone, Tensor.detach]


def _view_rule(func: Any) -> Any:
    def view(mode: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, QTensor):
            raise UnsupportedOperationError(
                f'{function_name(func)} of a plain tensor by a quantized one'
            )
        if any(isinstance(a, torch.dtype) for a in (*args, *kwargs.values())):
            raise UnsupportedOperationError(f'{function_name(func)} as another type')
        if isinstance(x.qparams, WeightQParams) and func not in _SAME:
            # A weight's scales lie along its first dimension and its layer needs
            # it whole; elsewhere it is a constant like any other.
            return mode.fold(func, (x, *args), kwargs)
        result = func(x.payload, *args, **kwargs)
        if func in _SAME:
            same = x.like(result)
            same.whole = x.whole
            return same
        return tree_map(lambda t: x.like(t) if isinstance(t, Tensor) else t, result)

    return view


for _func in _VIEWS:
    rule(_func)(_view_rule(_func))


@rule(Tensor.expand_as)
def _expand_as(mode: Any, x: Any, other: Tensor) -> Any:
    return x.expand(other.shape)


@rule(Tensor.view_as, Tensor.reshape_as)
def _reshape_as(mode: Any, x: Any, other: Tensor) -> Any:
    return x.reshape(other.shape)


_METADATA = [
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


def _metadata_rule(func: Any) -> Any:
    def metadata(mode: Any, x: QTensor, *args: Any, **kwargs: Any) -> Any:
        return func(x.payload, *args, **kwargs)

    return metadata


for _func in _METADATA:
    rule(_func, metadata=True)(_metadata_rule(_func))


@rule(Tensor.dtype.__get__, metadata=True)  # type: ignore[attr-defined]
def _dtype(mode: Any, x: QTensor) -> torch.dtype:
    return torch.float32  # integers stand for reals


@rule(Tensor.requires_grad.__get__, metadata=True)  # type: ignore[attr-defined]
def _requires_grad(mode: Any, x: QTensor) -> bool:
    return x.payload.requires_grad


@rule(torch.is_floating_point, Tensor.is_floating_point, metadata=True)
def _is_floating_point(mode: Any, x: QTensor) -> bool:
    return True


@rule(Tensor.to, Tensor.type, Tensor.type_as, Tensor.float)
def _to(mode: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    # A change of float type changes nothing; a device move is a region's matter.
    if not isinstance(x, QTensor):
        reference = next(a for a in args if isinstance(a, QTensor))
        return x.to(reference.payload.device, torch.float32)
    for wanted in (*args, *kwargs.values()):
        if isinstance(wanted, Tensor | torch.dtype):
            dtype = wanted if isinstance(wanted, torch.dtype) else wanted.dtype
            if not dtype.is_floating_point:
                raise UnsupportedOperationError(f'a conversion to {dtype}')
            if dtype != torch.float32:
                return _other_float(mode, x)
    return x


@rule(Tensor.double, Tensor.half)
def _other_float(mode: Any, x: QTensor) -> QTensor:
    return x.like(x.payload.clone())  # a new tensor, as in torch


@rule(F.dropout, torch.dropout, F.dropout2d, torch.feature_dropout)
def _dropout(
    mode: Any, x: QTensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> QTensor:
    if training and p > 0:
        raise UnsupportedOperationError(
            'dropout in training mode: call model.eval() first'
        )
    return x


@rule(F.pad, computes=True)
def _pad(
    running: Any, x: QTensor, pad: Any, mode: str = 'constant', value: Any = None
) -> QTensor:
    if mode == 'constant':
        if value not in (None, 0):
            raise UnsupportedOperationError(f'padding with {value}; only 0 has a rule')
        running.padding(x)
        return padded(x, pad)
    # Reflection and replication have no integer kernels: gather by index.
    height, width = x.payload.shape[-2:]
    index = torch.arange(height * width, dtype=torch.float64, device=x.payload.device)
    index = F.pad(index.view(1, 1, height, width), pad, mode=mode)[0, 0].long()
    return x.like(x.payload.flatten(-2)[..., index])


@rule(F.unfold, computes=True)
def _unfold(
    mode: Any,
    x: QTensor,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> QTensor:
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = map(
        _pair, (kernel_size, dilation, padding, stride)
    )
    if (dh, dw) != (1, 1):
        raise UnsupportedOperationError('unfold with dilation')
    if ph or pw:
        mode.padding(x)
    # Tensor.unfold moves any dtype; F.unfold knows floats only.
    patches = F.pad(x.payload, (pw, pw, ph, ph)).unfold(2, kh, sh).unfold(3, kw, sw)
    columns = patches.permute(0, 1, 4, 5, 2, 3).flatten(1, 3).flatten(2)
    return x.like(columns)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]


@rule(torch.zeros_like, torch.empty_like, metadata=True)
def _zeros_like(
    mode: Any, x: QTensor, dtype: torch.dtype | None = None, **kwargs: Any
) -> Tensor:
    dtype = dtype or torch.float32
    return torch.zeros(x.payload.shape, dtype=dtype, device=x.payload.device)


@rule(Tensor.new_zeros, Tensor.new_empty, metadata=True)
def _new_zeros(mode: Any, x: QTensor, *size: Any, **kwargs: Any) -> Tensor:
    kwargs.setdefault('dtype', torch.float32)
    return torch.zeros(*size, device=x.payload.device, **kwargs)
