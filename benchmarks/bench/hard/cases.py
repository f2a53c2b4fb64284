"""The models of the benchmark, by name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from .channels import attention_channels, norm_channels
from .hidden import massive_hidden
from .residual import concentrating, gathered, massive_tokens, rotate

#: The real model, which is no form of DeiT-Tiny.
DINOV2 = 'dinov2'


def _residual(
    model: nn.Module, images: Sequence[Tensor], factor: float, seed: int
) -> None:
    moments, _ = gathered(model.backbone, images)
    head = model.head.layers.head
    rotate(model.backbone, head, concentrating(moments, seed))


def _tokens(
    model: nn.Module, images: Sequence[Tensor], factor: float, seed: int
) -> None:
    _, size = gathered(model.backbone, images)
    massive_tokens(model.backbone, factor * float(size), seed=seed)


def _norm(model: nn.Module, images: Sequence[Tensor], factor: float, seed: int) -> None:
    norm_channels(model.backbone, factor, seed)


def _attention(
    model: nn.Module, images: Sequence[Tensor], factor: float, seed: int
) -> None:
    attention_channels(model.backbone, factor, seed)


def _hidden(
    model: nn.Module, images: Sequence[Tensor], factor: float, seed: int
) -> None:
    # Nothing can follow a channel through a GELU: a factor of 100 leaves the other
    # neurons no level, whatever a quantizer does.
    massive_hidden(model.backbone, images, factor**0.5, seed)


def _all(model: nn.Module, images: Sequence[Tensor], factor: float, seed: int) -> None:
    for make in (_hidden, _residual, _tokens, _norm, _attention):
        make(model, images, factor, seed)


Transformation = Callable[[nn.Module, Sequence[Tensor], float, int], None]
#: What is done to DeiT-Tiny, in place.
TRANSFORMATIONS: dict[str, Transformation] = {
    'plain': lambda *_: None,
    'norm': _norm,
    'attention': _attention,
    'residual': _residual,
    'tokens': _tokens,
    'hidden': _hidden,
    'all': _all,
}


def made(
    name: str, model: nn.Module, images: Sequence[Tensor], factor: float, seed: int
) -> nn.Module:
    """A copy of a classifier, transformed.

    Args:
        name: In :data:`TRANSFORMATIONS`.
        model: An ``ImageClassifier`` of mmpretrain with a ViT and a linear head.
        images: Normalized, shape (B, 3, H, W) each; they say where large values go.
        factor: How much larger large values are than others.
        seed: Chooses channels and tokens.
    """
    other = copy.deepcopy(model)
    TRANSFORMATIONS[name](other, images, factor, seed)
    return other
