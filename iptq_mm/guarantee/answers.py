"""What an integer model and its float one answered to the same images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

#: What is kept of each image.
_FIELDS = ('margins', 'errors', 'differ', 'wide_differs')


@dataclass
class Answers:
    """The answers to held-out images, one entry an image.

    Attributes:
        margins: By how much the largest integer logit exceeds the second, int64.
        errors: The same minus the margin that the float logits of these two classes
            have, in integers, int64: a float margin below 0 is another answer.
        differ: Whether the float model answered otherwise, bool.
        wide_differs: Whether it answered otherwise than the wider integer model, bool;
            all False if there is none.
    """

    margins: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    errors: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    differ: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    wide_differs: Tensor = field(
        default_factory=lambda: torch.empty(0, dtype=torch.bool)
    )

    def __len__(self) -> int:
        return len(self.margins)

    def __getitem__(self, chosen: Tensor | slice) -> Answers:
        """Some of the images."""
        return Answers(*(getattr(self, name)[chosen] for name in _FIELDS))

    @classmethod
    def of(
        cls, integers: Tensor, scale: float, floats: Tensor, wide: Tensor | None = None
    ) -> Answers:
        """The answers of a batch.

        Args:
            integers: Integer logits, shape (images, classes).
            scale: What the integer 1 stands for.
            floats: Logits of the float model.
            wide: Logits of the wider integer model, of any scale; None: there is none.
        """
        top = integers.long().topk(2, dim=1)
        margins = top.values[:, 0] - top.values[:, 1]
        real = floats.double().gather(1, top.indices)
        meant = ((real[:, 0] - real[:, 1]) / scale).floor().long()
        answer = floats.argmax(1)
        differ = integers.long().argmax(1) != answer
        wide_differs = (
            torch.zeros_like(differ) if wide is None else wide.argmax(1) != answer
        )
        kept = margins, margins - meant, differ, wide_differs
        return cls(*(t.cpu() for t in kept))

    @classmethod
    def joined(cls, parts: Iterable[Answers]) -> Answers:
        """The answers of several batches, or processes."""
        parts = list(parts)
        return cls(*(torch.cat([getattr(p, n) for p in parts]) for n in _FIELDS))


def margins_of(integers: Tensor) -> Tensor:
    """By how much the largest integer of each row exceeds the second, int64.

    Args:
        integers: Integer logits, shape (images, classes).
    """
    top = integers.long().topk(2, dim=1).values
    return top[:, 0] - top[:, 1]
