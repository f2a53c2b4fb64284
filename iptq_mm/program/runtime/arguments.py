"""Keys of calls: what a program depends on in the arguments of a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...modes.region import is_real
from ...pixels import Pixels, is_image
from ...qtensor import UnsupportedOperationError
from ...utils.trees import nesting_key

_PLAIN = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)


def arguments_key(
    leaves: Sequence[Any], spec: Any, pixels: Pixels | None, rows: bool = True
) -> tuple:
    """The key of a call: equal for calls that the same program serves.

    Args:
        leaves: The arguments, flattened.
        spec: How they are nested.
        pixels: How images were normalized that the region takes as pixels.
        rows: Whether the key has the number of rows.

    Raises:
        UnsupportedOperationError: If an argument is neither a tensor nor a plain value.
    """
    described = (_described(x, pixels, rows) for x in leaves)
    # Code that was compiled for exact float32 products must not run with others.
    return nesting_key(spec), torch.get_float32_matmul_precision(), *described


def tensors_call(
    args: tuple, kwargs: dict
) -> tuple[tuple, list[Tensor]] | tuple[None, None]:
    """A key and the tensors of a call, faster than by :func:`arguments_key`.

    On small networks the Python code around a program counts, because the program has
    just evicted it from the CPU caches. Flattening the arguments would take most of
    that time.

    Returns:
        A key, and the tensors in order. ``(None, None)`` if an argument is anything but
        a float tensor, or a tuple or list of them.
    """
    tensors: list[Any] = []
    nesting: list[Any] = []
    for x in args:
        members = x if type(x) in (tuple, list) else (x,)
        nesting += type(x), len(members)
        tensors += members
    if kwargs or not all(type(x) is Tensor and is_real(x) for x in tensors):
        return None, None
    for x in tensors:
        nesting += x.shape, x.device
    return (torch.get_float32_matmul_precision(), *nesting), tensors


def row_count_of(leaves: Sequence[Any], pixels: Pixels | None) -> int | None:
    """The common number of rows of the tensors; None if there is none.

    There is none, either, if a program depends on the contents of a tensor.
    """
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    sizes = {x.shape[0] if x.dim() else None for x in tensors}
    if len(sizes) != 1 or not all(is_real(x) or is_image(x, pixels) for x in tensors):
        return None
    return sizes.pop()


def device_of(arguments: Sequence[Any]) -> torch.device:
    """Device of the arguments, of the real ones if there are any."""
    tensors = [x for x in arguments if isinstance(x, Tensor)]
    found = [x for x in tensors if is_real(x)] or tensors
    return found[0].device if found else torch.device('cpu')


def _described(x: Any, pixels: Pixels | None, rows: bool) -> tuple:
    """The part of a key for one argument, with or without the number of rows."""
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
