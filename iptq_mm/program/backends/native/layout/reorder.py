"""Reorderings of rows that become part of the step that makes the rows."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import Gemm, LayerNorm
from .located import Located


def row_order(x: Located) -> Tensor | None:
    """The row of the buffer that each row of ``x`` is, -1 for zeros.

    None if ``x`` is no reordering of rows that lie side by side.
    """
    if not x.shape:
        return None
    size, places = x.shape[-1], x.places()
    if places.axis == len(x.shape) - 1:
        first = places.starts.reshape(-1, 1)
    else:
        table = places.single().reshape(-1, size)
        first = table[:, :1]
        wanted = torch.where(first < 0, -1, first + torch.arange(size))
        if not torch.equal(table, wanted):
            return None
    if bool((first.clamp_min(0) % size).any()):
        return None
    return torch.where(first < 0, -1, first // size).flatten()


def reorder_rows(x: Located) -> Located | None:
    """Let a LayerNorm make its rows in the order in which they are wanted."""
    step = x.producer
    if step is None or step.command is not LayerNorm:
        return None
    if step.fields['rows_from'] is not None:
        return None
    order = row_order(x)
    if order is None or x.shape[-1] != step.fields['size']:
        return None
    place = replace(Located.new(x.storage, x.shape), producer=step)
    step.fields['rows'] = len(order)
    step.fields['rows_from'] = order.to(torch.int32).contiguous()
    step.fields['out'] = place.at
    return place


def scatter_rows(x: Located, rows: int) -> Tensor | None:
    """For each row of a product the row of ``x`` that it is, -1 if none.

    None if ``x`` is not made of whole rows of a product that may be changed, each
    at most once.

    Args:
        x: A reordering of the product's result.
        rows: Of the product.
    """
    if x.producer is None or x.producer.command is not Gemm:
        return None
    order = row_order(x)
    return None if order is None else inverse(order, rows)


def inverse(order: Tensor, rows: int) -> Tensor | None:
    """For each of ``rows`` rows where ``order`` has it, -1 where it does not.

    None if ``order`` has zeros, or a row twice.
    """
    if not len(order) or int(order.min()) < 0:
        return None
    if len(order.unique()) != len(order):
        return None
    target = torch.full((rows,), -1, dtype=torch.int32)
    target[order] = torch.arange(len(order), dtype=torch.int32)
    return target
