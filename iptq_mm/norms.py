"""The structure of a module whose batch norms became part of the layers before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

_ATTRIBUTE = 'iptq_folded_norms'


def folded_norms(module: nn.Module) -> dict[str, str]:
    """By path of each batch norm that was folded, the path of its layer."""
    return dict(getattr(module, _ATTRIBUTE, {}))


def without_norms(module: nn.Module, folded: Mapping[str, str]) -> None:
    """Put identities in the place of batch norms; their layers get a bias.

    Args:
        module: A region.
        folded: As :func:`folded_norms` gives it.

    Raises:
        AttributeError: If the module has no such parts.
    """
    for norm, layer in folded.items():
        target: Any = module.get_submodule(layer)
        if target.bias is None:
            zeros = target.weight.detach().new_zeros(target.weight.shape[0])
            target.bias = nn.Parameter(zeros, requires_grad=False)
        replace_module(module, norm, nn.Identity())
    setattr(module, _ATTRIBUTE, dict(folded))


def replace_module(module: nn.Module, path: str, new: nn.Module) -> None:
    """Put another module in the place of a part."""
    parent, _, name = path.rpartition('.')
    module.get_submodule(parent)._modules[name] = new
