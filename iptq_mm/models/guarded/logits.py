"""The integer logits of a quantized classifier."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor, nn

from ...modes import bound_region
from ...modes.shared_integers import shared_integers_of


class Logits:
    """A forward hook that keeps what a head returned last, in each thread.

    Attributes:
        real: The logits, shape (images, classes).

    Raises:
        TypeError: If the head returns anything else.
    """

    def __init__(self) -> None:
        self._here = threading.local()

    def __reduce__(self) -> tuple:
        # A copy of the model has a hook of its own.
        return Logits, ()

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        """Keep the output of a call."""
        if not isinstance(output, Tensor) or output.dim() != 2:
            raise TypeError(
                f'{type(module).__name__} returns no logits of shape (images, classes)'
            )
        self._here.real = output

    @property
    def real(self) -> Tensor:
        """See the class."""
        return self._here.real

    def integers(self, scale: float) -> Tensor:
        """The integers of the logits, as they left the region.

        Args:
            scale: What the integer 1 stands for.
        """
        shared = shared_integers_of(self.real)
        if shared is not None and shared.qparams.scale == scale:
            return shared.integers
        # Of tensors without a version counter nothing is remembered. The float is
        # `scale` times an integer, rounded once, so that the nearest one is it.
        return (self.real.double() / scale).round().to(torch.int64)

    def quantizer(self) -> tuple[float, int]:
        """The scale of the logits, and the largest margin that two can have.

        Raises:
            ValueError: If they did not leave a region just now.
        """
        shared = shared_integers_of(self.real)
        if shared is None:
            raise ValueError('the logits are not those of an integer region')
        qparams = shared.qparams
        return qparams.scale, qparams.qmax - qparams.qmin


def head_of(model: nn.Module) -> str:
    """The path of the module of a quantized classifier that returns its logits.

    Raises:
        ValueError: If it has none, or it is no region.
    """
    # By path, since regions whose checkpoint is not loaded yet have no names.
    names = [
        path
        for path, module in model.named_modules()
        if path.split('.')[0] == 'head' and bound_region(module) is not None
    ]
    if not isinstance(getattr(model, 'head', None), nn.Module) or len(names) != 1:
        raise ValueError(
            f'{type(model).__name__} has no head that is an integer region: margins '
            'are those of integer logits, of classifiers whose head is among '
            'quantization.regions'
        )
    return names[0]


def logits_of(model: nn.Module, head: str | None = None) -> tuple[Logits, Any]:
    """Keep the logits of each call of a classifier.

    Args:
        model: The classifier.
        head: Path of what returns them; None: :func:`head_of`.

    Returns:
        What keeps them, and the handle that ends it.

    Raises:
        ValueError: See :func:`head_of`.
    """
    logits = Logits()
    module = model.get_submodule(head or head_of(model))
    return logits, module.register_forward_hook(logits)
