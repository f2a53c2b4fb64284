"""Which tensors view the same memory, so that in-place operations are never half done.

An in-place rule gives its tensor a new payload. Views of the old payload, which torch
would change too, do not see that: using one of them afterwards is an error.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Sharing:
    """A group of tensors that view the same memory.

    Attributes:
        writes: The payloads that in-place operations would have overwritten, in order.
    """

    def __init__(self) -> None:
        self.writes: list[Tensor] = []


def shares_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are views of one storage."""
    one, other = a.untyped_storage(), b.untyped_storage()
    # Those without elements, or on the meta device, have no address.
    same = one.data_ptr() == other.data_ptr()
    return same and (one.data_ptr() != 0 or one._cdata == other._cdata)


def overlap(a: Tensor, b: Tensor, but: Tensor | None = None) -> bool:
    """Whether two views of one storage have an element in common.

    Args:
        a: A view.
        b: Another view.
        but: A third one, whose elements do not count; None: all of them count.
    """
    size = a.untyped_storage().nbytes() // a.element_size()
    marks = torch.zeros(size, dtype=torch.bool)
    _within(marks, b).fill_(True)
    if but is not None:
        _within(marks, but).fill_(False)
    return bool(marks.as_strided(a.shape, a.stride(), a.storage_offset()).any())


def _within(marks: Tensor, view: Tensor) -> Tensor:
    """The marks of the elements of a view, each once."""
    # An expanded dimension repeats one element.
    sizes = zip(view.shape, view.stride(), strict=True)
    shape = [n if step else min(n, 1) for n, step in sizes]
    return marks.as_strided(shape, view.stride(), view.storage_offset())
