"""Gradients of several processes, averaged without DistributedDataParallel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine import dist
from torch import nn

from ...statistics import NotFiniteError


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Give every process the mean of the gradients of all.

    ``DistributedDataParallel`` would do it during each pass backward, and holds the
    process group for good. A parameter that no process used stays without a gradient,
    as in one process; one that some of them used counts as 0 in the others.

    Args:
        parameters: Those that are trained, in the same order in all processes.
    """
    if dist.get_world_size() == 1:
        return
    device = parameters[0].device
    used = torch.tensor([p.grad is not None for p in parameters], device=device).byte()
    dist.all_reduce(used, 'max')
    gradients = []
    for parameter, wanted in zip(parameters, used.tolist(), strict=True):
        if not wanted:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    dist.all_reduce_params(gradients, op='mean')


def average_buffers(module: nn.Module) -> None:
    """Give every process the mean of float buffers: running statistics of batch norms.

    Args:
        module: The model.
    """
    if dist.get_world_size() == 1:
        return
    buffers = [b for b in module.buffers() if b.is_floating_point()]
    dist.all_reduce_params(buffers, op='mean')


def check_gradients(named: Sequence[tuple[str, nn.Parameter]], batch: str) -> None:
    """Make sure that gradients are numbers, before they spoil the weights.

    Args:
        named: Names and parameters.
        batch: Which batch this is, for the message.

    Raises:
        NotFiniteError: If one is not.
    """
    given = [(name, p.grad) for name, p in named if p.grad is not None]
    if not given:
        return
    # A sum of squares is finite only if all of them are, and do not overflow.
    norms = torch._foreach_norm([grad for _, grad in given])
    if torch.isfinite(torch.stack([norm.float() for norm in norms])).all():
        return
    for name, grad in given:
        if not torch.isfinite(grad).all():
            raise NotFiniteError(
                f"the gradient of '{name}' holds NaN or infinity {batch}"
            )
