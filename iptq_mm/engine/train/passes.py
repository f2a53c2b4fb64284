"""Passes of the trained and of the float model, and what is caught in them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ...modes.region import is_real
from ...utils.trees import tree_leaves

#: Name under which the head of a classifier is caught, region or not.
HEAD = 'head of the classifier'


@dataclass(frozen=True)
class Call:
    """A call of a module.

    Attributes:
        args: Its arguments.
        kwargs: Those by name.
        outputs: Float tensors in what it returned.
    """

    args: tuple
    kwargs: dict
    outputs: list[Tensor]


Calls = list[Call]


@contextmanager
def caught(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Calls]]:
    """Catch the calls of modules while the block runs.

    Args:
        modules: By name.

    Yields:
        The calls by name, in order; those of modules that were not called are missing.
    """
    calls: dict[str, Calls] = {}

    def leave(name: str, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        outputs = [x for x in tree_leaves(output) if is_real(x)]
        calls.setdefault(name, []).append(Call(args, kwargs, outputs))

    handles = [
        module.register_forward_hook(functools.partial(leave, name), with_kwargs=True)
        for name, module in modules.items()
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def watched(model: nn.Module, regions: Sequence[str]) -> dict[str, nn.Module]:
    """The modules of a model whose calls losses may want.

    Args:
        model: The model.
        regions: Names of its regions.
    """
    modules = {name: model.get_submodule(name) for name in regions}
    head = getattr(model, 'head', None)
    return {**modules, HEAD: head} if isinstance(head, nn.Module) else modules


def run_dense(model: Any, data: Mapping[str, Any]) -> None:
    """Run what a model runs on whole images: a classifier, or a detector's features."""
    if getattr(model, 'head', None) is None and hasattr(model, 'extract_feat'):
        model.extract_feat(data['inputs'])
    else:
        model(**data, mode='tensor')


class Passes:
    """The passes of one step, each made when it is first asked for.

    Args:
        model: The trained model.
        float_model: The float one.
        regions: Names of the regions.
        data: The batch, preprocessed: ``inputs`` and ``data_samples``.
        dense: Names of the regions that run on whole images; None: not known yet, the
            float model will tell.
        labels: Whether the trained pass is that of the model's own loss.
    """

    def __init__(
        self,
        model: nn.Module,
        float_model: nn.Module,
        regions: Sequence[str],
        data: Mapping[str, Any],
        dense: frozenset[str] | None,
        labels: bool,
    ) -> None:
        self._model, self._float_model = model, float_model
        self.regions, self._data = regions, data
        self._labels = labels
        self._dense = dense
        self.images = len(data['inputs'])

    @property
    def dense(self) -> frozenset[str]:
        """Names of the regions that run on whole images."""
        if self._dense is None:
            with torch.no_grad(), caught(watched(self._float_model, self.regions)) as c:
                run_dense(self._float_model, self._copied())
            self._dense = frozenset(c) - {HEAD}
        return self._dense

    def own_losses(self) -> dict[str, Any]:
        """See :class:`.losses.base.Step`."""
        return self._trained_pass[1]

    def trained(self) -> dict[str, Calls]:
        """See :class:`.losses.base.Step`."""
        return self._trained_pass[0]

    @functools.cached_property
    def _trained_pass(self) -> tuple[dict[str, Calls], dict[str, Any]]:
        losses: dict[str, Any] = {}
        with caught(watched(self._model, self.regions)) as calls:
            if self._labels:
                losses = self._model(**self._copied(), mode='loss')
            else:
                run_dense(self._model, self._copied())
        return calls, losses

    def teacher(self) -> dict[str, Calls]:
        """See :class:`.losses.base.Step`."""
        return self._teacher_pass

    @functools.cached_property
    def _teacher_pass(self) -> dict[str, Calls]:
        model, data = self._float_model, self._copied()
        rest = set(self.regions) - self.dense
        with torch.no_grad(), caught(watched(model, self.regions)) as calls:
            if rest:
                model(**data, mode='predict')
            else:
                run_dense(model, data)
        return calls

    def replayed(self, name: str) -> Calls:
        """See :class:`.losses.base.Step`."""
        module = self._model.get_submodule(name)
        with caught({name: module}) as calls:
            for call in self.teacher().get(name, ()):
                # Made without gradients: a copy is a leaf like any other.
                args, kwargs = tree_map_only(
                    Tensor, Tensor.clone, (call.args, call.kwargs)
                )
                module(*args, **kwargs)
        return calls.get(name, [])

    def _copied(self) -> dict[str, Any]:
        """The batch; models write into its samples."""
        samples = copy.deepcopy(self._data.get('data_samples'))
        return {**self._data, 'data_samples': samples}
