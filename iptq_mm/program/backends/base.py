"""What runs a program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..ir.graph import Program

#: From the integers of the inputs to those of the outputs.
Runner = Callable[[Sequence[Tensor]], list[Tensor]]


class StandIn:
    """Mixed into a subclass that a float module is made a member of, and left again.

    The subclass has nothing of its own but methods; the class after this one is that of
    the module.
    """


def restore(model: nn.Module) -> None:
    """Undo :meth:`Backend.quicken`."""
    for module in model.modules():
        if isinstance(module, StandIn):
            classes = type(module).__mro__
            module.__class__ = classes[classes.index(StandIn) + 1]


class Backend(ABC):
    """A way to run programs; subclasses register in ``BACKENDS``.

    All of them give the same integers as the eager integer mode.

    Attributes:
        sizes: Where programs serve any number of rows: how many sizes there are from
            one power of two to the next, a power of two itself.
    """

    sizes: ClassVar[int] = 4

    def check(self) -> None:  # noqa: B027  (most need nothing)
        """Find out whether it can run here, before there is a program.

        Raises:
            RuntimeError: If it cannot; the message says what is missing.
        """

    def quicken(self, model: nn.Module) -> None:  # noqa: B027  (most leave it)
        """Run what stays float outside the regions quicker, with the same results.

        Args:
            model: Its modules may become :class:`StandIn`.
        """

    @abstractmethod
    def prepare(self, program: Program, device: torch.device) -> Runner:
        """Make a program ready to run.

        Args:
            program: The program.
            device: Where its inputs will be, and its outputs shall be.

        Raises:
            RuntimeError: If it cannot run here; the message says what is missing.
        """
