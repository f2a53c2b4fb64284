"""The integers that a detector's regions take and give, on all machines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from iptq_mm.program import Program

from .comparing import digest, stacked
from .machines import Machine
from .programs import ProgramModel


class RecordedModel(ProgramModel):
    """A program that keeps the integers of all its calls.

    Args:
        program: What runs.

    Attributes:
        program: The same.
        given: The inputs of each call.
        made: The outputs of each call.
    """

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.program = program
        self.given: list[list[np.ndarray]] = []
        self.made: list[list[np.ndarray]] = []

    def _run(self, given: list[torch.Tensor]) -> list[np.ndarray]:
        made = super()._run(given)
        self.given.append([x.numpy().copy() for x in given])
        self.made.append([x.copy() for x in made])
        return made

    @property
    def digest(self) -> str:
        """Of the outputs of all calls."""
        return digest(stacked(self.made))


def differing(models: Mapping[str, RecordedModel], machine: Machine) -> list[str]:
    """Returns the names of the programs whose outputs a machine makes other ones.

    Args:
        models: By name; those that were never called are left out.
        machine: Where the recorded calls are made again.
    """
    return [
        name
        for name, model in models.items()
        if model.given
        and digest(machine.integers(model.program, stacked(model.given)))
        != model.digest
    ]
