"""The regions that a config names: which modules they are, and whether they can run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..modes import regions_in
from ..statistics import NotFiniteError
from .config import ConfigError, QuantizationConfig


def expanded(model: nn.Module, regions: Sequence[str]) -> list[str]:
    """Names of all modules that run as regions.

    A list or dict of modules (the heads of a cascade's stages) is never called itself,
    nor is a head of several tasks: its name stands for the names of its members.

    Args:
        model: The model.
        regions: Names in ``quantization.regions``; unknown ones stay as they are.
    """
    names: dict[str, None] = {}
    for region in regions:
        try:
            module = model.get_submodule(region)
        except AttributeError:
            module = None
        # mmpretrain's MultiTaskHead calls these one by one.
        tasks = getattr(module, 'task_heads', None)
        if isinstance(tasks, nn.ModuleDict):
            region, module = f'{region}.task_heads', tasks
        if isinstance(module, nn.ModuleList | nn.ModuleDict) and len(module):
            members = [f'{region}.{child}' for child, _ in module.named_children()]
            names.update(dict.fromkeys(expanded(model, members)))
        else:
            names[region] = None
    return list(names)


def parts_beside(model: nn.Module, name: str) -> list[str]:
    """Names of the existing parts beside a missing one, for error messages.

    Args:
        model: The model.
        name: Path of the missing part.
    """
    parent, _, _ = name.rpartition('.')
    try:
        module = model.get_submodule(parent)
    except AttributeError:
        return parts_beside(model, parent)
    prefix = f'{parent}.' if parent else ''
    found = [prefix + child for child, _ in module.named_children()]
    return found or parts_beside(model, parent)


def check_regions(model: nn.Module, config: QuantizationConfig) -> None:
    """Make sure that the regions are there and can be quantized.

    Raises:
        ConfigError: If a region is missing, quantized already, nested, or a list of
            modules; see :func:`~.regions.expanded`.
        NotFiniteError: If a parameter holds NaN or infinity.
    """
    for name in config.regions:
        try:
            module = model.get_submodule(name)
        except AttributeError:
            module = None
        if module is None or not name:
            parts = parts_beside(model, name)
            raise ConfigError(
                f"the model has no part '{name}' (quantization.regions); it has {parts}"
            )
        if any(
            other != name and name.startswith(f'{other}.') for other in config.regions
        ):
            raise ConfigError(f"region '{name}' lies inside another region")
        if regions_in(module):
            raise ConfigError(f"region '{name}' is quantized already")
        for path, parameter in module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise NotFiniteError(
                    f"parameter '{name}.{path}' holds NaN or infinite values: the "
                    'checkpoint is damaged or belongs to another model'
                )
