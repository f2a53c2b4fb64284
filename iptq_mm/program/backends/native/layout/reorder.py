"""Reorderings of rows, absorbed by the step that makes the rows."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import Gemm, LayerNorm
from .tensor_ref import TensorRef


def row_order(x: TensorRef) -> Tensor | None:
    """Which row of the buffer each row of ``x`` is, -1 for a row of zeros.

    None if ``x`` is not a reordering of whole contiguous rows.
    """
    if not x.shape:
        return None
    size, address_map = x.shape[-1], x.as_address_map()
    if address_map.axis == len(x.shape) - 1:
        first = address_map.offsets.reshape(-1, 1)
    else:
        table = address_map.of_elements().reshape(-1, size)
        first = table[:, :1]
        wanted = torch.where(first < 0, -1, first + torch.arange(size))
        if not torch.equal(table, wanted):
            return None
    if bool((first.clamp_min(0) % size).any()):
        return None
    return torch.where(first < 0, -1, first // size).flatten()


def reorder_rows(x: TensorRef) -> TensorRef | None:
    """Let the LayerNorm that makes ``x`` write its rows in the order of ``x``.

    None if no LayerNorm makes it, or something else than rows is reordered.
    """
    step = x.producer
    if step is None or step.command is not LayerNorm:
        return None
    if step.fields['rows_from'] is not None:
        return None
    order = row_order(x)
    if order is None or x.shape[-1] != step.fields['size']:
        return None
    out = replace(TensorRef.new(x.storage, x.shape), producer=step)
    step.fields['rows'] = len(order)
    step.fields['rows_from'] = order.to(torch.int32).contiguous()
    step.fields['out'] = out.address
    return out


def scatter_rows(x: TensorRef, rows: int) -> Tensor | None:
    """Which row of ``x`` each row of the product that makes it is, -1 if none.

    None if ``x`` is not made of whole rows of a product that may be changed, each
    at most once.

    Args:
        x: A reordering of the product's result.
        rows: Number of rows of the product.
    """
    if x.producer is None or x.producer.command is not Gemm:
        return None
    order = row_order(x)
    return None if order is None else inverse(order, rows)


def inverse(order: Tensor, rows: int) -> Tensor | None:
    """The inverse of a partial permutation: the place of each row in ``order``.

    -1 where a row is not in ``order``; None if ``order`` has rows of zeros, or a row
    twice.
    """
    if not len(order) or int(order.min()) < 0:
        return None
    if len(order.unique()) != len(order):
        return None
    target = torch.full((rows,), -1, dtype=torch.int32)
    target[order] = torch.arange(len(order), dtype=torch.int32)
    return target
