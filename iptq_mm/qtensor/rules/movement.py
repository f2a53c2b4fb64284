"""Rules of functions that move numbers without changing them.

Scale, range and source of a value stay what they are: only the payload moves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from ...patches import pair
from ..errors import SMALLER_REGION, unsupported
from ..mode import Mode
from ..tensor import QTensor
from ..weight_qparams import WeightQParams
from .dispatch import function_name
from .operands import run_operation
from .padding import padded
from .table import MOVING, rule

#: Functions that rearrange, repeat or select elements.
REARRANGING = [
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
    Tensor.t,
    torch.t,
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

#: Those of them that leave a weight a complete parameter.
_SAME = [Tensor.contiguous, Tensor.clone, torch.clone, Tensor.detach]


def _rearranging_rule(func: Any) -> Any:
    """The rule of ``func``: apply it to the payload."""

    def rearrange(mode: Mode, x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, QTensor):
            raise unsupported(
                f'{function_name(func)} of a plain tensor, with an argument that is '
                'computed in the region, has no rule',
                f'index with integers that are computed outside, or {SMALLER_REGION}',
            )
        if any(isinstance(a, torch.dtype) for a in (*args, *kwargs.values())):
            raise unsupported(
                f'{function_name(func)} reads the numbers as another type, which would '
                'be that of the integers'
            )
        if isinstance(x.qparams, WeightQParams) and func not in _SAME:
            # A weight's scales lie along its first dimension and its layer needs
            # it whole; elsewhere it is a constant like any other.
            return mode.fold(func, (x, *args), kwargs)
        result = func(x.payload, *args, **kwargs)
        if func in _SAME:
            same = x.like(result)
            same.whole = x.whole
            return same
        if isinstance(result, Tensor):
            return x.like(result)
        return tree_map(lambda t: x.like(t) if isinstance(t, Tensor) else t, result)

    return rearrange


for _func in REARRANGING:
    rule(_func)(_rearranging_rule(_func))

MOVING.update(REARRANGING)


@rule(Tensor.expand_as)
def _expand_as(mode: Mode, x: Any, other: Tensor) -> Any:
    return x.expand(other.shape)


@rule(Tensor.view_as, Tensor.reshape_as)
def _reshape_as(mode: Mode, x: Any, other: Tensor) -> Any:
    return x.reshape(other.shape)


# The only one that is a site: its operands have different scales.
@rule(torch.cat, torch.concat, computes=True)
def _cat(mode: Mode, tensors: Any, dim: int = 0) -> QTensor:
    if not all(isinstance(t, QTensor) for t in tensors):
        tensors = [t if isinstance(t, QTensor) else mode.constant(t) for t in tensors]
    return run_operation(mode, 'cat', list(tensors), dict(dim=dim))


@rule(torch.stack, computes=True)
def _stack(mode: Mode, tensors: Any, dim: int = 0) -> QTensor:
    rank = max(t.dim() for t in tensors) + 1
    return _cat(mode, [t.unsqueeze(dim % rank) for t in tensors], dim % rank)


# Zero padding adds the integer 0, or the zero point of pixels. The mode is told:
# equalization must not shift channels that are padded. Padding with another number puts
# constants beside the tensor. The other kinds repeat elements.
@rule(F.pad, computes=True)
def _pad(
    running: Mode, x: QTensor, pad: Any, mode: str = 'constant', value: Any = None
) -> QTensor:
    if mode == 'constant':
        if value not in (None, 0):
            return _beside_constants(running, x, pad, float(value))
        running.padding(x)
        return padded(x, pad)
    # Reflection and replication have no integer kernels: gather by index.
    height, width = x.payload.shape[-2:]
    index = torch.arange(height * width, dtype=torch.float64, device=x.payload.device)
    index = F.pad(index.view(1, 1, height, width), pad, mode=mode)[0, 0].long()
    return x.like(x.payload.flatten(-2)[..., index])


def _beside_constants(mode: Mode, x: QTensor, pad: Any, value: float) -> QTensor:
    """A tensor with a number around it, dimension by dimension, the last one first."""
    for i, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        dim = x.dim() - 1 - i
        if min(before, after) < 0:
            raise unsupported(f'padding by {tuple(pad)} with {value} has no rule')
        shapes = [(*x.shape[:dim], n, *x.shape[dim + 1 :]) for n in (before, after)]
        device = x.payload.device
        low, high = (torch.full(s, value, device=device) for s in shapes)
        parts = [part for part in (low, x, high) if part.shape[dim]]
        x = _cat(mode, parts, dim) if len(parts) > 1 else x
    return x


# F.unfold knows floats only; Tensor.unfold moves any type.
@rule(F.unfold, computes=True)
def _unfold(
    mode: Mode,
    x: QTensor,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> QTensor:
    (kh, kw), (ph, pw), (sh, sw) = map(pair, (kernel_size, padding, stride))
    if pair(dilation) != (1, 1):
        raise unsupported(f'unfold with dilation {dilation} has no rule')
    if ph or pw:
        mode.padding(x)
    patches = F.pad(x.payload, (pw, pw, ph, ph)).unfold(2, kh, sh).unfold(3, kw, sw)
    columns = patches.permute(0, 1, 4, 5, 2, 3).flatten(1, 3).flatten(2)
    return x.like(columns)
