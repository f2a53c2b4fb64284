"""What mmengine's model is to the phases, made of any torch model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from .calling import Call

#: Name of the region that is the whole model.
WHOLE = 'model'


class Holder(nn.Module):
    """Holds a model that is a region as a whole: a region is a part of something.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        return self.model(*args, **kwargs)


def held(model: nn.Module, regions: Sequence[str]) -> nn.Module:
    """The model whose parts are the regions: itself, or a holder of it.

    Args:
        model: The user's model.
        regions: Names of regions; :data:`WHOLE` alone if there is no part of that name.
    """
    whole = list(regions) == [WHOLE] and WHOLE not in dict(model.named_children())
    return Holder(model) if whole else model


@contextmanager
def stepping(root: nn.Module, call: Call) -> Iterator[None]:
    """Give a model the ``test_step`` by which the phases run it.

    Args:
        root: From :func:`held`; gets it within the ``with`` block.
        call: Runs the user's model on a batch.
    """

    # A phase may put another module in the place of a region, the whole model too.
    def step(batch: Any) -> Any:
        return call(root.model if isinstance(root, Holder) else root, batch)

    vars(root)['test_step'] = step
    try:
        yield
    finally:
        del vars(root)['test_step']
