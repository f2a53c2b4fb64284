"""Folded batch norms: the structure of a module without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

_ATTRIBUTE = 'iptq_folded_norms'


def folded_norms(module: nn.Module) -> dict[str, str]:
    """The folded batch norms of a module: path of each to the path of its layer."""
    return dict(getattr(module, _ATTRIBUTE, {}))


def without_norms(module: nn.Module, folded: Mapping[str, str]) -> None:
    """Replace batch norms by identities, and give their layers a bias.

    Args:
        module: A region.
        folded: As from :func:`folded_norms`.

    Raises:
        AttributeError: If the module has no such sub-modules.
    """
    for norm, layer in folded.items():
        target: Any = module.get_submodule(layer)
        if target.bias is None:
            zeros = target.weight.detach().new_zeros(target.weight.shape[0])
            target.bias = nn.Parameter(zeros, requires_grad=False)
        replace_module(module, norm, nn.Identity())
    setattr(module, _ATTRIBUTE, dict(folded))


def replace_module(module: nn.Module, path: str, new: nn.Module) -> None:
    """Replace the sub-module at a path."""
    parent, _, name = path.rpartition('.')
    module.get_submodule(parent)._modules[name] = new
