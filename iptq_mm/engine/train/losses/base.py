"""What a loss of training gets, and what it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from ..passes import Calls


class Step(Protocol):
    """A batch, and what both models make of it."""

    #: Images in the batch.
    images: int
    #: Names of the regions.
    regions: Sequence[str]

    @property
    def dense(self) -> frozenset[str]:
        """Names of the regions that run on the whole image."""

    def own_losses(self) -> dict[str, Any]:
        """The losses of the trained model by its own code, from labels."""

    def trained(self) -> dict[str, Calls]:
        """Calls of the modules of the trained model, in the pass that is trained."""

    def teacher(self) -> dict[str, Calls]:
        """Calls of the modules of the float model, without gradients."""

    def replayed(self, name: str) -> Calls:
        """Calls of a trained region with the inputs that the float one got."""


class TrainingLoss(ABC):
    """One term of what is minimized.

    Args:
        weight: Its factor in the sum.

    Attributes:
        needs_labels: Whether images need labels.
    """

    needs_labels = False

    def __init__(self, weight: float = 1.0) -> None:
        if not weight > 0:
            raise ValueError(f'weight={weight}: use a positive number')
        self.weight = weight

    @abstractmethod
    def __call__(self, step: Step) -> dict[str, Tensor]:
        """The parts of the loss by name, each one number, without the weight.

        Names that hold ``loss`` are parts of the sum; others are only logged.
        """
