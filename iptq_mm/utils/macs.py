"""Multiplications with additions of a call of an aten operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import flop_counter
from torch.utils._pytree import tree_map

#: Attention on a CPU: torch has no formula for it. In torch 2.1 it is no operation.
_CPU_ATTENTION = '_scaled_dot_product_flash_attention_for_cpu'


def macs(func: Any, args: tuple, kwargs: Mapping[str, Any], result: Any) -> int:
    """Multiplications with additions of a product, as torch counts them; else 0.

    Args:
        func: The operation, an overload of ``torch.ops.aten``.
        args: What it was given.
        kwargs: The same by name.
        result: What it returned.
    """
    packet = func._overloadpacket
    if packet is getattr(torch.ops.aten, _CPU_ATTENTION, None):
        shapes = (x.shape for x in args[:3])
        return flop_counter.sdpa_flop_count(*shapes) // 2
    if hasattr(flop_counter, 'flop_registry'):
        count = flop_counter.flop_registry.get(packet)
        return count(*args, **kwargs, out_val=result) // 2 if count else 0
    # torch 2.1 counts by shapes.
    count = flop_counter.flop_mapping.get(packet)  # type: ignore[attr-defined]
    args, kwargs, shape = tree_map(_shape, (args, dict(kwargs), result))
    return count(*args, **kwargs, out_shape=shape) // 2 if count else 0


def _shape(x: Any) -> Any:
    return x.shape if isinstance(x, Tensor) else x
