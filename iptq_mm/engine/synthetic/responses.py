"""Responses of a model to an image: class logits, and tokens of its attentions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ...calibration import ConfigError

#: How the packages call the attention of a block.
_ATTENTION = 'attn'


class Responses:
    """Runs a float model on images and keeps what images are optimized by.

    Args:
        model: A classifier of mmpretrain, or any model of the mm family that has a
            ``backbone``, of which nothing else then runs.

    Raises:
        ConfigError: If the model has no backbone.
    """

    def __init__(self, model: nn.Module) -> None:
        backbone = getattr(model, 'backbone', None)
        if not isinstance(backbone, nn.Module):
            raise ConfigError(
                f'{type(model).__name__} has no backbone: images can be optimized for '
                'models of MMPretrain and MMDetection only; calibrate on '
                "dict(type='iptq_mm.datasets.synthetic.NoiseImages') here"
            )
        self._model = model
        self._backbone = backbone
        self._attentions = [
            module
            for name, module in backbone.named_modules()
            if name.rpartition('.')[2] == _ATTENTION
        ]
        # mmpretrain's classifiers say so; mmdet's detectors know no classes of images.
        self._classifies = bool(getattr(model, 'with_head', False))

    def __call__(self, images: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """Run the model, differentiably.

        Args:
            images: (N, 3, H, W), 0 to 255, channels as pipelines give them (BGR).

        Returns:
            (N, classes) logits, None if the model has no classes; and the tokens,
            (N, L, C), that each attention of the backbone gives out. A backbone
            without attention gives its feature maps instead.
        """
        inputs = self._model.data_preprocessor({'inputs': images})['inputs']  # type: ignore
        with self._kept() as tokens:
            if self._classifies:
                answer = self._model(inputs, mode='tensor')
            else:
                answer = self._backbone(inputs)
        if not tokens:
            raise ConfigError(f'{type(self._backbone).__name__} gives out no tokens')
        return (answer if self._classifies else None), tokens

    @contextmanager
    def _kept(self) -> Iterator[list[Tensor]]:
        tokens: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            tokens.extend(map(_as_tokens, _tensors(output)))

        handles = [
            module.register_forward_hook(keep)
            for module in self._attentions or [self._backbone]
        ]
        try:
            yield tokens
        finally:
            for handle in handles:
                handle.remove()


def _tensors(output: Any) -> list[Tensor]:
    """Those of an output that have a place for each patch."""
    outputs = output if isinstance(output, list | tuple) else [output]
    return [o for o in outputs if isinstance(o, Tensor) and o.ndim in (3, 4)]


def _as_tokens(output: Tensor) -> Tensor:
    """(N, L, C) of itself or of a (N, C, H, W) map."""
    return output if output.ndim == 3 else output.flatten(2).mT
