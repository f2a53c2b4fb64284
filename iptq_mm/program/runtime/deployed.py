"""Programs without the model that they were traced from."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

from ...registry import BACKENDS
from ..backends.base import Backend
from ..ir.graph import Program
from ..ir.interface import interface
from ..ir.store import load_program
from .boundary import run_real
from .given import Given


class Deployed:
    """A program that takes real tensors and gives real tensors.

    Needs neither mmdet nor mmpretrain, nor the code of the model::

        model = Deployed.load('deit.program')
        (logits,) = model(image)  # uint8, if the program takes pixels

    Any number of threads may call one; it can be pickled.

    Args:
        program: The program.
        backend: Name of the back end in ``BACKENDS``.
        device: Where the tensors are.

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
        BACKENDS.import_from_location()
        if backend not in BACKENDS.module_dict:
            raise KeyError(
                f"no back end '{backend}': there are {sorted(BACKENDS.module_dict)}"
            )
        made: Backend = BACKENDS.build(dict(type=backend))
        made.check()
        self.program = program
        self._given = Given(program)
        self._arguments = program, backend, device
        self._run = made.prepare(program, torch.device(device))

    def __reduce__(self) -> tuple:
        """A copy, or what another process reads, is prepared there."""
        return type(self), self._arguments

    @classmethod
    def load(cls, path: str | os.PathLike, backend: str = 'native') -> Deployed:
        """From a file that ``tools/export.py`` wrote.

        Raises:
            ProgramError: If the file is no program.
        """
        return cls(load_program(path), backend)

    def __repr__(self) -> str:
        """What it takes and gives: types, shapes, order of the channels, scale."""
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
        return run_real(self.program, self._run, self._given.checked(reals))
