"""How a batch of any form becomes a call of the model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ...calibration import ConfigError
from ...modes import bound_region
from ...modes.binding import own_class
from ...utils.trees import tree_leaves

#: Runs a model on a batch.
Call = Callable[[nn.Module, Any], Any]


def call_model(model: nn.Module, batch: Any) -> Any:
    """Run a model on a batch.

    A mapping has keyword arguments, a tuple or list positional ones, and anything else
    is the only argument. Of a tuple that is longer than the model takes (images and
    their labels), the first is the argument.
    """
    if isinstance(batch, Mapping):
        return model(**{str(name): value for name, value in batch.items()})
    if isinstance(batch, tuple | list):
        return model(*_taken(model, batch))
    return model(batch)


def _taken(model: nn.Module, batch: tuple | list) -> tuple | list:
    # A bound model has a forward that takes anything.
    bound = bound_region(model) is not None
    kind: Any = own_class(model) if bound else type(model)
    signature = inspect.signature(kind.forward)
    try:
        signature.bind(model, *batch)
    except TypeError:
        return batch[:1]
    return batch


def to_device(batch: Any, model: nn.Module) -> Any:
    """A batch with its tensors on the device of the model's parameters."""
    found = next((p.device for p in model.parameters()), torch.device('cpu'))
    # Of Hugging Face's and other classes of mappings, torch knows nothing.
    plain = dict(batch) if isinstance(batch, Mapping) else batch
    return tree_map(lambda x: x.to(found) if isinstance(x, Tensor) else x, plain)


def rows_of(batch: Any) -> int:
    """Samples in a batch: the size of its first tensor, 1 if that has none."""
    plain = dict(batch) if isinstance(batch, Mapping) else batch
    tensors = [x for x in tree_leaves(plain) if isinstance(x, Tensor) and x.dim()]
    return len(tensors[0]) if tensors else 1


def calibration_batches(batches: Any, model: nn.Module, most: int) -> list[Any]:
    """The batches to calibrate with: the first that have so many samples.

    They are kept, so that an iterable that can be gone through only once will do.

    Args:
        batches: An iterable of batches; a tensor or a mapping is one batch.
        model: Whose device they go to.
        most: Samples that are enough.

    Raises:
        ConfigError: If there is no batch.
    """
    if isinstance(batches, Tensor | Mapping):
        batches = [batches]
    if not isinstance(batches, Iterable):
        raise ConfigError(
            f'batches is {type(batches).__name__}: give an iterable of batches, each '
            'of them a tensor, a tuple of arguments or a dict of keyword arguments'
        )
    kept: list[Any] = []
    samples = 0
    for batch in batches:
        kept.append(to_device(batch, model))
        samples += rows_of(batch)
        if samples >= most:
            break
    if not kept:
        raise ConfigError('batches is empty: calibration needs at least one batch')
    print_log(f'calibration: {samples} samples in {len(kept)} batches', 'current')
    return kept
