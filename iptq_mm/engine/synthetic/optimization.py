"""Images made from a model alone: what it takes for photographs of its classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...calibration import ConfigError
from .losses import patch_similarity_entropy, total_variation
from .responses import Responses

# Farthest shift as a share of a side: about a patch of a usual transformer.
_JITTER = 1 / 16


def optimize_images(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    rng: np.random.Generator,
    *,
    steps: int = 100,
    step_size: float = 3.0,
    entropy: float = 1.0,
    smoothness: float = 30.0,
) -> Tensor:
    """Change images until a model answers to them as to photographs of its classes.

    The loss is that of PSAQ-ViT (Li et al., 2022, arXiv 2203.02250), whose entropy is
    over all attentions of the backbone; transformers have no statistics of batch
    norms that images could match::

        cross_entropy(logits, target)
            - entropy * mean over layers of patch_similarity_entropy
            + smoothness * total_variation(image)

    A detector has no classes of images, so its loss has no cross-entropy (as in
    PSAQ-ViT V2, arXiv 2209.05687). Adam minimises it on the pixels, under random
    shifts and flips. The result depends on the arguments alone (on one device and
    number of threads).

    Args:
        model: A float model that :class:`Responses` takes; left as it was.
        images: (N, 3, H, W) uint8, where to start, channels as pipelines give them.
        targets: (N,) int64, the class that each image shall show.
        rng: Decides about shifts and flips.
        steps: Steps of Adam.
        step_size: Largest change of a pixel in the first step, 0 to 255; it falls
            to 0 as a cosine.
        entropy: Weight of the entropy.
        smoothness: Weight of the total variation of pixels in [0, 1].

    Returns:
        (N, 3, H, W) uint8 on the CPU.

    Raises:
        ConfigError: If the model cannot answer, or has no such class.
    """
    respond = Responses(model)
    device = next(model.parameters()).device
    pixels = images.to(device, torch.float32).requires_grad_()
    targets = targets.to(device)
    optimizer = torch.optim.Adam([pixels], lr=step_size, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps or 1)
    with _frozen(model):
        for _ in range(steps):
            logits, tokens = respond(_seen(pixels, rng))
            spread = torch.stack([patch_similarity_entropy(t).mean() for t in tokens])
            loss = smoothness * total_variation(pixels / 255) - entropy * spread.mean()
            if logits is not None:
                loss = loss + _class_loss(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                pixels.clamp_(0, 255)
    return pixels.detach().round().to('cpu', torch.uint8)


def _class_loss(logits: Tensor, targets: Tensor) -> Tensor:
    if not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:
        raise ConfigError(f'the model has {logits.shape[1]} classes only')
    return F.cross_entropy(logits, targets)


def _seen(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Images shifted and flipped, so that no pixel is optimized for one place."""
    most = [int(_JITTER * side) for side in pixels.shape[-2:]]
    shift = [int(rng.integers(-m, m + 1)) for m in most]
    view = pixels.roll(shift, (2, 3))
    return view.flip(3) if rng.random() < 0.5 else view


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Evaluate a model without gradients of its parameters."""
    training = {module: module.training for module in model.modules()}
    wanted = [p.requires_grad for p in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was
        for parameter, wants in zip(model.parameters(), wanted, strict=True):
            parameter.requires_grad_(wants)
