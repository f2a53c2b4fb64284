"""Back ends run programs: the interface that all of them implement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...registry import BACKENDS
from ..ir.graph import Program
from .boundary import TORCH, Conversions, quantized_inputs, share_output


class Executable(ABC):
    """A program that a back end has made ready to run; see :meth:`Backend.prepare`.

    Any number of threads may run it.

    Args:
        program: The program.
        conversions: How real tensors become integers, and integers real tensors.

    Attributes:
        program: The program.
        conversions: The conversions.
    """

    def __init__(self, program: Program, conversions: Conversions = TORCH) -> None:
        self.program, self.conversions = program, conversions

    def __str__(self) -> str:
        """What is run, as text; the program itself unless a back end shows more."""
        return str(self.program)

    #: Bytes that it keeps beside the tensors of :meth:`held`.
    own_bytes: int = 0

    def held(self) -> list[Tensor]:
        """The tensors that it keeps; other programs may keep them, too."""
        return list(self.program.tensors.values())

    @abstractmethod
    def run(self, integers: Sequence[Tensor]) -> list[Tensor]:
        """Run the program.

        Args:
            integers: One tensor for each input, of the type, shape and bounds of its
                value. None of that is checked.

        Returns:
            The integers of the outputs; these tensors belong to the caller.
        """

    def run_real(self, reals: Sequence[Tensor]) -> list[Tensor]:
        """Run the program between real tensors.

        Args:
            reals: One tensor for each input: floats of the shape of the input, or uint8
                where the program takes pixels.

        Returns:
            The outputs in float32, contiguous, the same bits from every back end and
            whatever autocast is set to. A region that they enter finds their integers.
        """
        device = reals[0].device.type if reals else 'cpu'
        with torch.no_grad(), torch.autocast(device, enabled=False):
            integers = quantized_inputs(self.program, reals, self.conversions)
            return [
                share_output(
                    self.program, port, self.conversions.dequantize(q, port.scale), q
                )
                for port, q in zip(
                    self.program.outputs, self.run(integers), strict=True
                )
            ]


class Backend(ABC):
    """A way to run programs; subclasses register in ``BACKENDS``.

    All back ends give the same integers as the eager integer mode.

    Attributes:
        sizes: If a program serves any number of rows, it is prepared for a few sizes
            only. So many of them lie between one power of two and the next, the latter
            included; a power of two itself.
        devices: Types of the devices whose tensors it takes; None: all.
    """

    sizes: ClassVar[int] = 4
    devices: ClassVar[tuple[str, ...] | None] = None

    def check(self) -> None:  # noqa: B027  (most need nothing)
        """Check that this back end can run here, before there is a program.

        Raises:
            RuntimeError: If it cannot; the message says what is missing.
        """

    def check_device(self, device: torch.device) -> None:
        """Check that this back end takes tensors of a device.

        Raises:
            RuntimeError: If it does not.
        """
        if self.devices is not None and device.type not in self.devices:
            raise RuntimeError(
                f'it runs on {" and ".join(self.devices)}, and the model is on '
                f'{device.type}'
            )

    def conversions(self) -> Conversions:
        """The conversions around its programs: torch's, unless it chooses others."""
        return TORCH

    def accelerate(self, model: nn.Module) -> None:  # noqa: B027  (most leave it)
        """Replace float modules outside the regions by faster ones, same results.

        :func:`~.replacement.restore` undoes it.

        Args:
            model: Its modules may become a :class:`~.replacement.Replacement`.
        """

    @abstractmethod
    def prepare(self, program: Program, device: torch.device) -> Executable:
        """Make a program ready to run.

        Args:
            program: The program.
            device: Device of its inputs and outputs.

        Raises:
            RuntimeError: If it cannot run here; the message says what is missing.
        """


def backend_named(name: str) -> Backend:
    """The back end that is registered under a name.

    Raises:
        KeyError: If there is none; the message has the names that there are.
    """
    BACKENDS.import_from_location()
    if name not in BACKENDS.module_dict:
        raise KeyError(
            f"no back end '{name}': there are {sorted(BACKENDS.module_dict)}"
        )
    return BACKENDS.build(dict(type=name))
