"""The interface of the runtimes, and their list."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import numpy as np

#: From the inputs by name to the outputs in order.
Run = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]

#: The runtimes by name, in the order of the table.
RUNTIMES: dict[str, type[Runtime]] = {}


class NotRunError(RuntimeError):
    """A converter took a model, and nothing here runs what it made."""


class Runtime(ABC):
    """Software that may run an ONNX model; subclasses enter :data:`RUNTIMES`.

    Attributes:
        name: What the table calls it.
        packages: What pip installs for it. The first has its version.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        RUNTIMES[cls.name] = cls

    def version(self) -> str:
        """Its version.

        Raises:
            LookupError: If it is not installed; says how to.
        """
        try:
            versions = [metadata.version(package) for package in self.packages]
        except metadata.PackageNotFoundError as error:
            needs = ' '.join(self.packages)
            raise LookupError(f'not installed: pip install {needs}') from error
        return versions[0]

    @abstractmethod
    def prepare(self, path: Path) -> Run:
        """Load a model.

        Args:
            path: An ONNX file, in a folder of its own to which may be written.

        Returns:
            What runs it.

        Raises:
            Exception: Whatever the software raises where it does not take the model.
        """


def kept_lines(text: str, *words: str) -> str:
    """The lines of what a program printed that have one of some words."""
    lines = [line.strip() for line in text.splitlines()]
    return '; '.join(line for line in lines if any(word in line for word in words))
