"""Layers of other libraries that are torch's own in other words."""

from __future__ import annotations

from torch import nn


def with_linear_layers(model: nn.Module) -> nn.Module:
    """A model whose layers of transformers' class ``Conv1D`` are linear layers.

    GPT-2 has them: ``x @ weight + bias``, with the weight as (inputs, outputs). A scale
    for each output channel wants the other order.

    Args:
        model: The model; its modules are replaced.
    """
    made: dict[int, nn.Linear] = {}
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if _is_transposed(child):
                parent.add_module(name, made.setdefault(id(child), _linear(child)))
    return model


def _is_transposed(module: nn.Module) -> bool:
    kind = type(module)
    ours = kind.__name__ == 'Conv1D' and kind.__module__.startswith('transformers.')
    return ours and getattr(module, 'weight', None) is not None


def _linear(layer: nn.Module) -> nn.Linear:
    weight, bias = layer.weight, layer.bias
    made = nn.Linear(*weight.shape, bias=bias is not None)  # type: ignore[misc]
    made.weight = nn.Parameter(weight.detach().T.contiguous())  # type: ignore
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())  # type: ignore[operator]
    return made.eval()
