"""What the models answer to the held-out images."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from mmengine import dist
from torch import nn

from ...guarantee import Answers
from ...models.guarded import logits_of
from ...models.guarded.logits import head_of


class Held(NamedTuple):
    """The answers of all processes, and the integers of the logits.

    Attributes:
        answers: By image.
        scale: What the integer 1 stands for at the logits.
        largest: Largest margin that two logits can have.
    """

    answers: Answers
    scale: float
    largest: int


@torch.no_grad()
def collect(
    floats: nn.Module, integers: nn.Module, wide: nn.Module | None, batches: Iterable
) -> Held:
    """Let models answer to the same images.

    Args:
        floats: The float model.
        integers: The integer model.
        wide: The wider one; None: there is none.
        batches: Of this process.

    Raises:
        ValueError: If no region of the integer model returns its logits.
    """
    head = head_of(integers)
    models = [m for m in (floats, integers, wide) if m is not None]
    caught = [logits_of(model, head) for model in models]
    found: list[Answers] = []
    quantizer = (0.0, 0)
    try:
        for batch in batches:
            for model in models:
                # Predictions are written into the samples of the batch.
                model.eval().test_step(copy.deepcopy(batch))  # type: ignore[operator]
            real, kept, *wider = (logits for logits, _ in caught)
            quantizer = kept.quantizer()
            found.append(
                Answers.of(
                    kept.integers(quantizer[0]),
                    quantizer[0],
                    real.real,
                    wider[0].real if wider else None,
                )
            )
    finally:
        for _, handle in caught:
            handle.remove()
    every: list[Any] = dist.all_gather_object(Answers.joined(found))
    return Held(Answers.joined(every), *quantizer)
