"""A faster replacement of mmcv's RoIAlign, on all threads.

RoIAlign stays float. mmcv's kernel for the CPU runs on one thread, channel by channel,
and would take most of a detector's time beside integer programs. This kernel adds the
same terms in the same order; the results are equal to the last bit where mmcv was
compiled without fused multiply-adds (as on x86-64).
"""

from __future__ import annotations

import weakref

import mmcv.ops
import torch
from torch import Tensor, nn

from ....modes.shared_integers import shared_integers_of
from ....native.commands import F32, I8, I16
from ....native.commands import RoIAlign as Command
from ....native.library import available, run
from ..replacement import Replacement

_TYPES = {torch.int8: I8, torch.int16: I16}
#: Pixels of a map up to which boxes may reach: their samples are counted in 32 bits.
_LARGEST = 2**15
#: Maps with their channels side by side, by the id of a map; with its version.
_made: dict[int, tuple[weakref.ref, int, Tensor]] = {}


class RoIAlign(Replacement, mmcv.ops.RoIAlign):
    """A module of a detector while the native back end runs its regions."""

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:  # noqa: A002
        """See mmcv, which computes what this kernel does not support.

        Args:
            input: (images, channels, height, width).
            rois: (n, 5): number of the image, x1, y1, x2, y2 in pixels of the image.

        Returns:
            (n, channels, rows, columns).
        """
        plain = _is_plain(input, 4) and _is_plain(rois, 2) and rois.shape[1] == 5
        if not (plain and self._has_places(input, rois) and available()):
            return super().forward(input, rois)
        made = shared_integers_of(input)
        if made is not None and made.integers.dtype in _TYPES:
            x, step = made.integers, made.qparams.scale
        else:
            x, step = input, 1.0
        return self._align(x, step, rois.detach().contiguous())

    def _has_places(self, x: Tensor, rois: Tensor) -> bool:
        """Whether boxes have an image, are not inside out, and not too large."""
        images, corners = rois[:, 0], rois[:, 1:]
        ordered = not self.aligned or bool((corners[:, 2:] >= corners[:, :2]).all())
        sane = bool((corners.abs() * self.spatial_scale < _LARGEST).all())
        return ordered and sane and bool(((images >= 0) & (images < len(x))).all())

    def _align(self, x: Tensor, step: float, rois: Tensor) -> Tensor:
        """Align floats, or integers whose scale is ``step``."""
        _, channels, height, width = x.shape
        rows, columns = self.output_size
        by_pixel = _by_pixel(x)
        out = rois.new_empty(len(rois), channels, rows, columns)
        command = Command(
            count=len(rois),
            rois=rois.data_ptr(),
            x=by_pixel.data_ptr(),
            x_type=_TYPES.get(x.dtype, F32),
            step=step,
            channels=channels,
            height=height,
            width=width,
            rows=rows,
            columns=columns,
            scale=self.spatial_scale,
            sampling=self.sampling_ratio,
            aligned=self.aligned,
            out=out.data_ptr(),
        )
        run([command])
        return out


def accelerate(model: nn.Module) -> None:
    """Replace mmcv's RoIAlign modules; :func:`~..replacement.restore` undoes it.

    Args:
        model: Its modules that average and do not call torchvision are replaced.
    """
    for module in model.modules():
        if type(module) is not mmcv.ops.RoIAlign:
            continue
        if module.pool_mode == 'avg' and not getattr(module, 'use_torchvision', False):
            module.__class__ = RoIAlign


def _by_pixel(x: Tensor) -> Tensor:
    """A map with its channels side by side; made once for all stages of a detector."""
    if x.is_inference():  # it has no version
        return x.permute(0, 2, 3, 1).contiguous()
    key, version = id(x), x._version
    found = _made.get(key)
    if found is None or found[0]() is not x or found[1] != version:
        gone = weakref.ref(x, lambda _: _made.pop(key, None))
        found = gone, version, x.detach().permute(0, 2, 3, 1).contiguous()
        _made[key] = found
    return found[2]


def _is_plain(x: Tensor, dims: int) -> bool:
    """Whether the kernel takes ``x``: float32 on the CPU, without a gradient."""
    wanted = torch.is_grad_enabled() and x.requires_grad
    plain = x.dtype == torch.float32 and x.device.type == 'cpu' and x.dim() == dims
    return plain and not wanted
