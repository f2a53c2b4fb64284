"""Rules of pooling: windows are gathered, and then averaged or compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...patches import pair
from ..errors import unsupported
from ..mode import Mode
from ..tensor import QTensor
from .dispatch import apply_rule
from .padding import padded
from .reductions import amax, mean
from .table import rule


# A window of one pixel selects by the stride.
@rule(F.max_pool2d, torch.max_pool2d, computes=True)
def max_pool2d(
    mode: Mode,
    x: QTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> QTensor:
    """The largest element of each window."""
    if pair(dilation) != (1, 1) or return_indices:
        raise unsupported('maximum pooling with dilation, or with indices, has no rule')
    if pair(kernel_size) == (1, 1):
        # Without a stride, the stride is the kernel: every pixel stays.
        down, across = pair(stride or 1)
        return x.like(x.payload[..., ::down, ::across])
    # Torch itself says how many windows there are.
    shape = x.payload.shape
    empty = torch.empty((1, *shape[-3:]), device='meta')
    made = F.max_pool2d(empty, kernel_size, stride, padding, 1, ceil_mode).shape[-2:]
    places = []
    given = zip(
        shape[-2:],
        made,
        *map(pair, (kernel_size, stride or kernel_size, padding)),
        strict=True,
    )
    for size, count, kernel, step, pad in given:
        starts = torch.arange(count) * step - pad
        # What is outside repeats the border, which is in every window that reaches out.
        places.append((starts[:, None] + torch.arange(kernel)).clamp(0, size - 1))
    rows, columns = places
    index = rows[:, None, :, None] * shape[-1] + columns[None, :, None, :]
    windows = x.payload.flatten(-2)[..., index.flatten(-2).to(x.payload.device)]
    return amax(mode, x.like(windows), -1)


@rule(F.max_pool1d, torch.max_pool1d, computes=True)
def _max_pool1d(
    mode: Mode,
    x: QTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> QTensor:
    one = _first(kernel_size), _first(stride), _first(padding), _first(dilation)
    kernel, step, pad, spread = one
    image = max_pool2d(
        mode,
        x.like(x.payload[..., None, :]),
        (1, kernel),
        (1, step or kernel),
        (0, pad),
        (1, spread),
        ceil_mode,
        return_indices,
    )
    return image.like(image.payload[..., 0, :])


def _first(size: Any) -> Any:
    return size[0] if isinstance(size, tuple | list) and size else size


# The mean of a window with its zeros, and a factor where torch leaves zeros out.
@rule(F.avg_pool2d, torch._C._nn.avg_pool2d, computes=True)
def avg_pool2d(
    mode: Mode,
    x: QTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> QTensor:
    """The average of each window."""
    (kh, kw), (ph, pw) = pair(kernel_size), pair(padding)
    sh, sw = pair(stride or kernel_size)

    def pooled(image: Tensor) -> Tensor:
        return F.avg_pool2d(
            image,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )

    height, width = x.payload.shape[-2:]
    ones = torch.ones(1, 1, height, width, dtype=torch.float64)
    expected = pooled(ones)
    rows, columns = expected.shape[-2:]
    down = max(0, (rows - 1) * sh + kh - height - ph)
    across = max(0, (columns - 1) * sw + kw - width - pw)
    pad = (pw, across, ph, down)

    def windows(image: Tensor) -> Tensor:
        parts = image.unfold(-2, kh, sh).unfold(-2, kw, sw)
        return parts[..., :rows, :columns, :, :]

    if any(pad):
        mode.padding(x)
        x = padded(x, pad)
    y = mean(mode, x.like(windows(x.payload)), (-2, -1))
    ratio = expected / windows(F.pad(ones, pad)).mean((-2, -1))
    if bool((ratio - 1).abs().max() < 1e-9):
        return y
    return apply_rule(mode, torch.mul, (y, ratio.float()[0]), {})


@rule(F.avg_pool1d, torch.avg_pool1d, computes=True)
def _avg_pool1d(
    mode: Mode,
    x: QTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> QTensor:
    kernel, step, pad = map(_first, (kernel_size, stride, padding))
    image = avg_pool2d(
        mode,
        x.like(x.payload[..., None, :]),
        (1, kernel),
        (1, step or kernel),
        (0, pad),
        ceil_mode,
        count_include_pad,
    )
    return image.like(image.payload[..., 0, :])


# Global pooling is a mean. Windows of one size are those of avg_pool2d; of several
# sizes, smaller ones would need zeros and factors.
@rule(F.adaptive_avg_pool2d, computes=True)
def _adaptive_avg_pool2d(mode: Mode, x: QTensor, output_size: Any) -> QTensor:
    def whole(mode: Mode, x: QTensor) -> QTensor:
        return mean(mode, x, (-2, -1), keepdim=True)

    return _adaptive(mode, x, output_size, 2, whole, avg_pool2d)


@rule(F.adaptive_avg_pool1d, torch.adaptive_avg_pool1d, computes=True)
def _adaptive_avg_pool1d(mode: Mode, x: QTensor, output_size: Any) -> QTensor:
    def whole(mode: Mode, x: QTensor) -> QTensor:
        return mean(mode, x, (-1,), keepdim=True)

    return _adaptive(mode, x, output_size, 1, whole, _avg_pool1d)


@rule(F.adaptive_max_pool2d, computes=True)
def _adaptive_max_pool2d(
    mode: Mode, x: QTensor, output_size: Any, return_indices: bool = False
) -> QTensor:
    if return_indices:
        raise unsupported('maximum pooling with indices has no rule')

    def whole(mode: Mode, x: QTensor) -> QTensor:
        return amax(mode, x, (-2, -1), keepdim=True)

    return _adaptive(mode, x, output_size, 2, whole, max_pool2d)


def _adaptive(
    mode: Mode,
    x: QTensor,
    output_size: Any,
    dims: int,
    whole: Callable[[Mode, QTensor], QTensor],
    pool: Callable[..., QTensor],
) -> QTensor:
    """Pooling to a size, which has to divide that of the image."""
    sizes = x.payload.shape[-dims:]
    wanted = output_size if isinstance(output_size, tuple | list) else [output_size]
    wanted = list(wanted) * (dims if len(wanted) == 1 else 1)
    wanted = [n if m is None else m for n, m in zip(sizes, wanted, strict=True)]
    if all(m == 1 for m in wanted):
        return whole(mode, x)
    if any(n % m for n, m in zip(sizes, wanted, strict=True)):
        raise unsupported(
            f'pooling of {tuple(sizes)} to {tuple(wanted)}, windows of several sizes, '
            'has no rule, only pooling to a size that divides that of the image has'
        )
    kernel = tuple(n // m for n, m in zip(sizes, wanted, strict=True))
    return pool(mode, x, kernel)
