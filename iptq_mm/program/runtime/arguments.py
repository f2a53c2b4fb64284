"""What of a call a program depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...modes.region import is_real
from ...pixels import Pixels, is_image
from ...qtensor import UnsupportedOperationError

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


def tensors_call(
    args: tuple, kwargs: dict
) -> tuple[tuple, list[Tensor]] | tuple[None, None]:
    """What :func:`arguments_key` is for, at the least cost, for most calls.

    What a call costs besides its program counts on small networks: it runs when the
    program has just had the caches to itself. Flattening arguments costs most of it.

    Returns:
        A key, and the tensors in order; twice None for a call with anything but float
        tensors, alone or in a tuple or list.
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
