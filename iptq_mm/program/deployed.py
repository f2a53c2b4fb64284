"""Programs without the model that they were traced from."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from ..registry import BACKENDS
from .backend import Backend
from .graph import Program
from .ports import run_real
from .store import load_program


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

    @torch.no_grad()
    def __call__(self, *reals: Tensor) -> list[Tensor]:
        """Run it.

        Args:
            *reals: One tensor for each input, of the shape that it was traced for;
                floats as the region got them, or uint8 where it takes pixels.

        Raises:
            ValueError: If number or shapes differ.
        """
        self._check(reals)
        return run_real(self.program, self._run, reals)

    def _check(self, reals: Sequence[Tensor]) -> None:
        wanted = [self.program.values[port.value].shape for port in self.program.inputs]
        given = [tuple(x.shape) for x in reals]
        if wanted != given:
            raise ValueError(
                f'the program was traced for inputs of {wanted}, not {given}: export '
                'one for this size, or use the model (its session traces each size)'
            )
        for port, x in zip(self.program.inputs, reals, strict=True):
            if not (x.is_floating_point() or (port.pixels and x.dtype == torch.uint8)):
                raise ValueError(f'an input of {x.dtype}: floats are needed')
