"""Gradients of a region's outputs, which tell float modes what an error does there."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ...kept_float import RETURNED
from ...modes.base import FloatMode
from ...operations import Operation
from ...qtensor import QTensor
from ..kept_tensors import Kept
from .saved import Saved


class Differentiating(FloatMode):
    """A float mode in which values can be watched for their gradients.

    A small error ``e`` of a value changes the region's outputs by ``J e``, with
    the Jacobian ``J``. Backward from random signs ``v`` at the outputs,
    ``g = J^T v`` arrives at every value at once, and ``(g . e)^2`` is
    ``||J e||^2`` in the mean over ``v`` (Hutchinson's estimator): one pass
    serves all values and any number of errors.

    Each output of each image is taken over its norm, hence ``||J e||^2`` is the
    *relative* squared error of the output, summed over outputs.

    :meth:`finish` has to be called when the region has run; it goes backward.
    What the region gives to the model is detached.

    Args:
        draws: Times ``v`` is drawn, each a pass backward. 0: no gradients, and
            the mode is like any other.
        saved: Keeps what the pass backward needs; None: memory does, without a limit.
    """

    def __init__(self, draws: int = 0, saved: Saved | None = None) -> None:
        self.draws = draws
        self._saved = saved
        self._entered: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._grad_was_enabled = False

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class; from here on, autograd keeps a graph."""
        # Gradients pass through modules that stay float.
        if not name.startswith(RETURNED):
            value = self._begun(value)
        return super().enter(name, value)

    def _begun(self, value: Tensor) -> Tensor:
        """A value at which a graph begins."""
        if not self.draws:
            return value
        if not self._entered:
            self._grad_was_enabled = torch.is_grad_enabled()
            torch.set_grad_enabled(True)
            if self._saved:
                self._saved.begin()
        value = value.detach().requires_grad_()
        self._entered.append(value)
        return value

    def computed(self, operation: Operation, value: Tensor) -> Tensor:
        """See the base class; rows of an embedding begin a graph as inputs do."""
        return self._begun(value) if operation.kind == 'embedding' else value

    def watch(self, value: Tensor, use: Callable[[Tensor], None]) -> None:
        """Call ``use`` with the gradient at ``value``, once a draw.

        Not called if no output depends on it.
        """
        if value.requires_grad:
            value.register_hook(use)

    def kept(self, value: Tensor) -> Kept:
        """A value for when gradients arrive, within the same memory."""
        if self._saved:
            return self._saved.keep(value)
        return Kept(value.detach(), value.device)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        if self._saved:
            self._saved.never(value)
        return super().parameter(name, value)

    def leave(self, value: QTensor) -> Tensor:
        """See the base class."""
        real = super().leave(value)
        if real.requires_grad:
            self._outputs.append(real)
        return real.detach()

    def finish(self) -> None:
        """Go backward from the outputs of the call that ended; drop its graph."""
        entered, outputs = self._entered, self._outputs
        self._entered, self._outputs = [], []
        if not entered:
            return
        self._stop()
        for draw in range(self.draws if outputs else 0):
            torch.autograd.grad(
                outputs,
                entered,
                [_signs(y, self.images, draw) for y in outputs],
                retain_graph=draw < self.draws - 1,
                allow_unused=True,
            )

    def abandon(self) -> None:
        """Forget a call that did not end."""
        if self._entered:
            self._entered, self._outputs = [], []
            self._stop()

    def _stop(self) -> None:
        """No graph from here on."""
        torch.set_grad_enabled(self._grad_was_enabled)
        if self._saved:
            self._saved.end()


@torch.no_grad()
def _signs(output: Tensor, images: int, draw: int) -> Tensor:
    """Random signs over the norm of each image's output, the shape of it.

    Those of an image depend on the values of its own output only, hence neither on the
    other images of the batch nor on which process sees it.
    """
    # Outputs that are not by image (they had no business with the batch) count
    # as one.
    rows = images if output.numel() % images == 0 else 1
    values = output.detach().reshape(rows, -1).contiguous()
    signs = torch.stack([_signs_of(image, draw) for image in values.cpu().numpy()])
    norms = values.double().norm(dim=1, keepdim=True)
    weights = torch.where(norms > 0, 1 / norms, 0.0).float()
    return (signs.to(output.device) * weights).view(output.shape)


def _signs_of(values: np.ndarray, draw: int) -> Tensor:
    """As many random signs as there are values, the same for the same values."""
    seed = zlib.crc32(values.data, draw)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, values.shape, generator=generator) * 2.0 - 1.0
