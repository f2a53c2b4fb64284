"""Keys of calls: what a program depends on in the arguments of a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...modes.region import is_real
from ...qtensor import UnsupportedOperationError
from ...utils.trees import nesting_key

_PLAIN = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)


def arguments_key(
    leaves: Sequence[Any], spec: Any, entering: Sequence[bool], rows: bool = True
) -> tuple:
    """The key of a call: equal for calls that the same program serves.

    Args:
        leaves: The arguments, flattened.
        spec: How they are nested.
        entering: Whether each is a value of the region.
        rows: Whether the key has the number of rows.

    Raises:
        UnsupportedOperationError: If an argument is neither a tensor nor a plain value.
    """
    each = zip(leaves, entering, strict=True)
    described = (_described(x, enters, rows) for x, enters in each)
    # Code that was compiled for exact float32 products must not run with others.
    return nesting_key(spec), torch.get_float32_matmul_precision(), *described


def tensors_call(
    args: tuple, kwargs: dict, given: int = 0
) -> tuple[tuple, list[Tensor]] | tuple[None, None]:
    """A key and the tensors of a call, faster than by :func:`arguments_key`.

    On small networks the Python code around a program counts, because the program has
    just evicted it from the CPU caches. Flattening the arguments would take most of
    that time.

    Args:
        args: Arguments of the region.
        kwargs: The same.
        given: How many tensors of integers are values of the region.

    Returns:
        A key, and the tensors in order. ``(None, None)`` if an argument is anything but
        such a tensor, or a tuple or list of them.
    """
    tensors: list[Any] = []
    nesting: list[Any] = []
    for x in args:
        members = x if type(x) in (tuple, list) else (x,)
        nesting += type(x), len(members)
        tensors += members
    if kwargs or not all(type(x) is Tensor for x in tensors):
        return None, None
    integers = [x for x in tensors if not is_real(x)]
    if len(integers) > given:
        return None, None
    for x in tensors:
        nesting += x.shape, x.device
    nesting += (x.dtype for x in integers)
    return (torch.get_float32_matmul_precision(), *nesting), tensors


def row_count_of(leaves: Sequence[Any], entering: Sequence[bool]) -> int | None:
    """The common number of rows of the tensors; None if there is none.

    There is none, either, if a program depends on the contents of a tensor.
    """
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    sizes = {x.shape[0] if x.dim() else None for x in tensors}
    each = zip(leaves, entering, strict=True)
    if len(sizes) != 1 or any(isinstance(x, Tensor) and not e for x, e in each):
        return None
    return sizes.pop()


def device_of(arguments: Sequence[Any]) -> torch.device:
    """Device of the arguments, of the real ones if there are any."""
    tensors = [x for x in arguments if isinstance(x, Tensor)]
    found = [x for x in tensors if is_real(x)] or tensors
    return found[0].device if found else torch.device('cpu')


def _described(x: Any, enters: bool, rows: bool) -> tuple:
    """The part of a key for one argument, with or without the number of rows."""
    if isinstance(x, Tensor):
        if enters:
            kind = 'real' if is_real(x) else x.dtype
            return kind, tuple(x.shape)[not rows :], x.device
        return 'tensor', x.dtype, tuple(x.shape), x.cpu().numpy().tobytes(), x.device
    if isinstance(x, _PLAIN):
        return type(x), x
    raise UnsupportedOperationError(
        f'an argument of type {type(x).__name__}: a program is made for tensors and '
        'plain values; choose a smaller region, or use_backend(model, None)'
    )
