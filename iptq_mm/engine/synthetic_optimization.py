"""Images made from a classifier alone: what it takes for examples of its classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from ..calibration import ConfigError

# Farthest shift as a share of a side: about a patch of a usual transformer.
_JITTER = 1 / 16


def optimize_images(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    steps: int = 15,
    step_size: float = 6.0,
    smoothness: float = 4.5,
    batch_size: int = 16,
    seed: int = 0,
) -> Tensor:
    """Change images until a classifier sees its own classes in them.

    Sampled images excite no class: the activations of the last layers stay
    smaller than those of photographs. Gradients of the cross-entropy to a class
    bring them up, and little else is needed where the images start with the
    statistics of photographs. The loss is that of DeepInversion (Yin et al.,
    2020, arXiv 1912.08795, Eqs. 1-3) without its match to the statistics of batch
    norms, which transformers have none of::

        cross_entropy(logits, target) + smoothness * total_variation(image)

    It is minimised by Adam on the pixels, under random shifts and flips. The
    result depends on the arguments alone (on one device and number of threads).

    Args:
        model: A float mmpretrain classifier; left as it was.
        images: (N, 3, H, W) uint8, channels as its pipeline gives them (BGR).
        targets: (N,) int64, the class that each image shall show.
        steps: Steps of Adam.
        step_size: Largest change of a pixel in the first step, 0 to 255; it falls
            to 0 as a cosine.
        smoothness: Weight of the total variation of pixels in [0, 1].
        batch_size: Images that are optimized together.
        seed: Decides about shifts and flips.

    Returns:
        (N, 3, H, W) uint8 on the CPU.

    Raises:
        ConfigError: If the model gives no logits, or has no such class.
    """
    generator = torch.Generator().manual_seed(seed)
    training = model.training
    wanted = [p.requires_grad for p in model.parameters()]
    model.eval().requires_grad_(False)
    done: list[Tensor] = []
    try:
        for part, aims in zip(
            images.split(batch_size), targets.split(batch_size), strict=True
        ):
            views = _views(steps, part.shape[-2:], generator)
            done.append(_optimize(model, part, aims, views, step_size, smoothness))
            print_log(f'optimized {sum(map(len, done))}/{len(images)} images')
    finally:
        model.train(training)
        for parameter, was in zip(model.parameters(), wanted, strict=True):
            parameter.requires_grad_(was)
    return torch.cat(done)


def total_variation(images: Tensor) -> Tensor:
    """Mean length of the gradient of neighbouring pixels (Rudin et al., 1992).

    Args:
        images: (..., H, W).

    Returns:
        A scalar.
    """
    corner = images[..., :-1, :-1]
    down, right = images[..., 1:, :-1] - corner, images[..., :-1, 1:] - corner
    # The square root has no derivative at 0, where neighbours are equal.
    return (down.square() + right.square() + 1e-5).sqrt().mean()


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits of images as pipelines give them, differentiably.

    Args:
        model: A classifier of mmpretrain.
        images: (N, 3, H, W), 0 to 255.

    Returns:
        (N, classes).

    Raises:
        ConfigError: If the model gives something else.
    """
    logits = None
    if getattr(model, 'with_head', False):  # as mmpretrain's classifiers have it
        inputs = model.data_preprocessor({'inputs': images})['inputs']  # type: ignore
        logits = model(inputs, mode='tensor')
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise ConfigError(
            f'{type(model).__name__} gives no logits of classes: images can be '
            "optimized for classifiers only; use dict(type='NoiseImages') here"
        )
    return logits


def _optimize(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    views: list[tuple[int, int, bool]],
    step_size: float,
    smoothness: float,
) -> Tensor:
    device = next(model.parameters()).device
    pixels = images.to(device, torch.float32).requires_grad_()
    targets = targets.to(device)
    optimizer = torch.optim.Adam([pixels], lr=step_size, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(views) or 1)
    for down, right, flip in views:
        view = pixels.roll((down, right), (2, 3))
        logits = logits_of(model, view.flip(3) if flip else view)
        if not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:
            raise ConfigError(f'the model has {logits.shape[1]} classes only')
        loss = F.cross_entropy(logits, targets)
        loss = loss + smoothness * total_variation(pixels / 255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            pixels.clamp_(0, 255)
    return pixels.detach().round().to('cpu', torch.uint8)


def _views(
    steps: int, size: Sequence[int], generator: torch.Generator
) -> list[tuple[int, int, bool]]:
    """Random shifts down and to the right, and flips, for each step."""

    def shift(side: int) -> int:
        most = int(_JITTER * side)
        return int(torch.randint(-most, most + 1, (), generator=generator))

    def flip() -> bool:
        return bool(torch.rand((), generator=generator) < 0.5)

    return [(shift(size[0]), shift(size[1]), flip()) for _ in range(steps)]
