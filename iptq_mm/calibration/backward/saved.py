"""What autograd saves for a pass backward: in memory up to a limit, else in a file."""

from __future__ import annotations

import math
import os
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO

import numpy as np
import torch
from torch import Tensor

#: Bytes of a tensor that is not worth a place in a file.
_SMALL = 2**16

#: Gives a tensor that was kept. Nobody may write to it.
Read = Callable[[], Tensor]


class Saved:
    """Keeps tensors from a forward pass for the pass backward.

    Between :meth:`begin` and :meth:`end`, everything that autograd saves goes through
    :meth:`keep`. Beyond the limit tensors are written to a temporary file, and read
    when they are needed: the numbers are the same. The file has no name, and goes with
    this object, whatever becomes of the process.

    Args:
        limit_mb: Most MiB of tensors in memory; one that is saved twice counts twice.

    Attributes:
        spilled: Bytes that were written to files so far.
    """

    def __init__(self, limit_mb: int) -> None:
        self.spilled = 0
        self._limit, self._used = limit_mb * 2**20, 0
        self._elsewhere: set[int] = set()
        self._file: IO[bytes] | None = None
        self._in_file = 0
        self._hooks = ExitStack()

    def never(self, tensor: Tensor) -> None:
        """Tell of a tensor that stays in memory anyway: a parameter."""
        self._elsewhere.add(tensor.untyped_storage().data_ptr())

    def begin(self) -> None:
        """From here on, what autograd saves is kept here."""
        hooks = torch.autograd.graph.saved_tensors_hooks(self.keep, lambda read: read())
        self._hooks.enter_context(hooks)

    def end(self) -> None:
        """Autograd saves by itself again; what is kept can be read until it is gone."""
        self._hooks.close()

    def keep(self, tensor: Tensor) -> Read:
        """Keep a tensor, detached.

        Returns:
            What reads it; the tensor is gone with it.
        """
        tensor = tensor.detach()
        size = tensor.numel() * tensor.element_size()
        if size < _SMALL or tensor.untyped_storage().data_ptr() in self._elsewhere:
            return _Held(tensor)
        if self._used + size <= self._limit or not _writable(tensor):
            held = _Held(tensor)
            self._used += size
            weakref.finalize(held, self._release, size)
            return held
        self.spilled += size
        return self._write(tensor)

    def _release(self, size: int) -> None:
        self._used -= size

    def _write(self, tensor: Tensor) -> Read:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (lives as this does)
        written = _Written(self._file, tensor)
        self._in_file += 1
        weakref.finalize(written, self._forget)
        return written

    def _forget(self) -> None:
        self._in_file -= 1
        if not self._in_file and self._file is not None:
            self._file.truncate(0)


class _Held:
    """Gives a tensor that it holds."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __call__(self) -> Tensor:
        return self._tensor


class _Written:
    """Gives a tensor that it wrote to the end of a file, with the strides it had.

    Float sums over it depend on its order in memory.
    """

    def __init__(self, file: IO[bytes], tensor: Tensor) -> None:
        self._file, self._place = file, file.seek(0, os.SEEK_END)
        self._device = tensor.device
        order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
        self._back = [order.index(dim) for dim in range(tensor.dim())]
        numbers = tensor.permute(order).cpu().contiguous().numpy()
        self._shape, self._dtype = numbers.shape, numbers.dtype
        try:
            file.write(numbers.data)
            file.flush()
        except OSError as error:
            raise OSError(
                f'{error}: {numbers.nbytes / 2**20:.0f} MiB of activations for a pass '
                f'backward do not fit into {tempfile.gettempdir()}; give TMPDIR a '
                'folder with more space, or raise '
                'quantization.calibration.gradient_memory_mb'
            ) from error

    def __call__(self) -> Tensor:
        self._file.seek(self._place)
        count = math.prod(self._shape)
        numbers = np.fromfile(self._file, self._dtype, count).reshape(self._shape)
        return torch.from_numpy(numbers).permute(self._back).to(self._device)


def _writable(tensor: Tensor) -> bool:
    """Whether a file can take it as plain numbers."""
    plain = tensor.layout == torch.strided and not tensor.is_complex()
    return plain and tensor.dtype not in (torch.bfloat16,) and not tensor.is_quantized
