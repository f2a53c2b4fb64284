"""What of a call, and of the module that is called, a program depends on."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..modes import bound_region
from ..modes.region import is_real
from ..pixels import Pixels, is_image
from ..qtensor import UnsupportedOperationError

_PLAIN = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)


def arguments_key(
    leaves: Sequence[Any], spec: Any, pixels: Pixels | None, rows: bool = True
) -> tuple:
    """What of the arguments a program depends on, hashable.

    Args:
        leaves: The arguments, flattened.
        spec: How they are nested.
        pixels: How images were normalized that the region takes as pixels.
        rows: Whether the number of rows counts.

    Raises:
        UnsupportedOperationError: If an argument is neither tensor nor plain.
    """
    described = (_described(x, pixels, rows) for x in leaves)
    # A narrow float32 product must be no product of the compiled code.
    return spec, torch.get_float32_matmul_precision(), *described


def row_count_of(leaves: Sequence[Any], pixels: Pixels | None) -> int | None:
    """Rows of the arguments; None where some have others, or are known by content."""
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    sizes = {x.shape[0] if x.dim() else None for x in tensors}
    if len(sizes) != 1 or not all(is_real(x) or is_image(x, pixels) for x in tensors):
        return None
    return sizes.pop()


def device_of(arguments: Sequence[Any]) -> torch.device:
    """Where the arguments are; of the real ones, if there are any."""
    tensors = [x for x in arguments if isinstance(x, Tensor)]
    found = [x for x in tensors if is_real(x)] or tensors
    return found[0].device if found else torch.device('cpu')


class ModuleState:
    """Tells whether plan, parameters or buffers of a region were replaced or changed.

    It looks at each tensor where the module has it; finding all of these places anew
    would take as long as a small network.

    Args:
        module: The region's module.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = weakref.ref(module)
        self._places = [
            (tensors, name, value.is_inference())
            for child in module.modules()
            for tensors in (child._parameters, child._buffers)
            for name, value in tensors.items()
            if value is not None
        ]

    def now(self) -> tuple:
        """Equal as long as nothing is replaced or changed."""
        module = self.module()
        region = None if module is None else bound_region(module)
        assert region is not None
        found: list[Any] = [region.mode]
        for tensors, name, inference in self._places:
            value: Any = tensors.get(name)
            if value is not None:
                found += (value.data_ptr(), 0 if inference else value._version)
        return tuple(found)


def _described(x: Any, pixels: Pixels | None, rows: bool) -> tuple:
    """What of an argument a program depends on, with or without the rows."""
    if isinstance(x, Tensor):
        if is_real(x) or is_image(x, pixels):
            return 'real', tuple(x.shape)[not rows :], x.device
        return 'tensor', x.dtype, tuple(x.shape), x.cpu().numpy().tobytes(), x.device
    if isinstance(x, _PLAIN):
        return type(x), x
    raise UnsupportedOperationError(
        f'an argument of type {type(x).__name__}: a program is made for tensors and '
        'plain values; choose a smaller region, or use_backend(model, None)'
    )
