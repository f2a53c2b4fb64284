"""Programs without the model that they were traced from."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

from ..backends.base import backend_named
from ..ir.graph import Program
from ..ir.interface import interface
from ..ir.store import load_program
from .given import Given
from .watch import Watch


class Deployed:
    """A program that runs between real tensors, without the model it was traced from.

    It needs neither mmdet nor mmpretrain::

        model = Deployed.load('deit.program')
        (logits,) = model(image)  # uint8, if the program takes pixels

    Any number of threads may call it, and it can be pickled.

    Args:
        program: The program.
        backend: Name of the back end in ``BACKENDS``.
        device: Device of the inputs and outputs.

    Attributes:
        program: The program.
        executable: The program as the back end runs it.
        watching: Counts what is clipped, see :class:`.out_of_range`; None: nobody does.

    Raises:
        KeyError: If there is no such back end.
        RuntimeError: If it cannot run here.
    """

    def __init__(
        self,
        program: Program,
        backend: str = 'native',
        device: torch.device | str = 'cpu',
    ) -> None:
        made = backend_named(backend)
        made.check()
        self.program = program
        self._given = Given(program)
        self._arguments = program, backend, device
        self.executable = made.prepare(program, torch.device(device))
        self.watching: Watch | None = None

    def __reduce__(self) -> tuple:
        """A copy, in this process or another, prepares the program anew."""
        return type(self), self._arguments

    @classmethod
    def load(cls, path: str | os.PathLike, backend: str = 'native') -> Deployed:
        """From a file that ``tools/export.py`` wrote.

        Raises:
            ProgramError: If the file is no program.
        """
        return cls(load_program(path), backend)

    def __repr__(self) -> str:
        """Its inputs and outputs: types, shapes, order of the channels, scale."""
        head = (
            f'Deployed program of {self.program.region}, back end {self._arguments[1]}'
        )
        return f'{head}\n{interface(self.program)}'

    @torch.no_grad()
    def __call__(self, *reals: Tensor | np.ndarray) -> list[Tensor]:
        """Run it.

        Args:
            *reals: One tensor or numpy array for each input, of the shape that it was
                traced for; floats as the region got them (normalized images), or uint8
                where it takes pixels. ``repr`` says which, and the order of channels.

        Raises:
            TypeError: If an input is neither tensor nor array.
            ValueError: If number, shapes or types differ, or floats are no normalized
                image where one is wanted.
        """
        given = self._given.checked(reals)
        outputs = self.executable.run_real(given)
        if self.watching is not None:
            self.watching.see(self.executable, self._arguments[1], given)
        return outputs
