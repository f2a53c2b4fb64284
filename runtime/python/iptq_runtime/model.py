"""An open model, and what goes in and out of it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .library import NAMES, TYPES, ArrayStruct, Error, Library, PortStruct, bundled

_KINDS = ('real', 'pixels', 'given')


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Attributes:
        name: Its name.
        kind: ``real`` (floats, or their integers), ``pixels`` (uint8 as they are, or
            normalized floats) or ``given`` (integers that stand for themselves).
        dtype: Name of the type of its integers.
        scale: Real value of the integer 1.
        low: Smallest integer.
        high: Largest integer.
        shape: Its shape.
        order: Order of an image's channels: ``RGB``, ``BGR``, ``grey`` or ''.
        mean: Normalization of images is ``(pixel - mean) / std``, by channel.
        std: See there.
    """

    name: str
    kind: str
    dtype: str
    scale: float
    low: int
    high: int
    shape: tuple[int, ...]
    order: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Model:
    """A model that is open until ``close()`` or the end of a ``with`` block.

    Threads may share it.

    Args:
        source: Path of an ``.iptq`` file, or its contents.
        threads: How many threads each call uses.
        library: The shared library; None: the one that came with this package.

    Attributes:
        inputs: What goes in.
        outputs: What comes out.

    Raises:
        Error: If the file cannot be read, or is damaged or of another version.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        threads: int = 1,
        library: Library | None = None,
    ) -> None:
        self._library = library or bundled()
        self._c: Any = self._library.c
        if isinstance(source, bytes):
            self._kept = ctypes.create_string_buffer(source, len(source))
            size = ctypes.c_size_t(len(source))
            made = self._c.iptq_open_memory(self._kept, size)
        else:
            made = self._c.iptq_open(os.fsencode(source))
        if not made:
            raise self._library.error()
        self._handle: ctypes.c_void_p | None = ctypes.c_void_p(made)
        self.inputs = self._ports('input')
        self.outputs = self._ports('output')
        self.threads = threads

    def _ports(self, what: str) -> list[Port]:
        count = getattr(self._c, f'iptq_{what}s')(self.handle)
        found = getattr(self._c, f'iptq_{what}')
        return [
            _port(PortStruct.from_address(found(self.handle, ctypes.c_size_t(i))))
            for i in range(count)
        ]

    @property
    def handle(self) -> ctypes.c_void_p:
        """The model of the C library.

        Raises:
            Error: If it is closed.
        """
        if self._handle is None:
            raise Error('the model is closed')
        return self._handle

    @property
    def name(self) -> str:
        """Its regions."""
        found: bytes = self._c.iptq_name(self.handle)
        return found.decode()

    @property
    def threads(self) -> int:
        """How many threads each call uses."""
        return self._threads

    @threads.setter
    def threads(self, threads: int) -> None:
        if self._c.iptq_set_threads(self.handle, threads):
            raise self._library.error()
        self._threads = threads

    def __call__(self, *inputs: np.ndarray, integers: bool = False) -> list[np.ndarray]:
        """Run the model.

        Args:
            *inputs: An array for each input: floats, integers of the input's type, or
                uint8 for pixels.
            integers: Whether outputs are integers instead of floats (integers times
                scale).

        Raises:
            Error: If an array does not fit, or has a number that is not finite or out
                of range.
        """
        made = [
            np.empty(port.shape, port.dtype if integers else 'float32')
            for port in self.outputs
        ]
        given = [np.ascontiguousarray(x) for x in inputs]
        for x in given:
            if str(x.dtype) not in TYPES:
                raise Error(f'arrays of {x.dtype} are none of {", ".join(TYPES)}')
        for x, port in zip(given, self.inputs, strict=False):
            if x.shape != port.shape:
                raise Error(f'{port.name} has shape {port.shape}, not {x.shape}')
        failed = self._c.iptq_predict(
            self.handle,
            _structs(given),
            ctypes.c_size_t(len(given)),
            _structs(made),
            ctypes.c_size_t(len(made)),
        )
        if failed:
            raise self._library.error()
        return made

    def close(self) -> None:
        """Close it; no call may be running."""
        if self._handle is not None:
            self._c.iptq_close(self._handle)
            self._handle = None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, '_handle', None) is not None:
            self.close()


def _port(found: PortStruct) -> Port:
    channels = range(found.channels)
    return Port(
        name=found.name.decode(),
        kind=_KINDS[found.kind],
        dtype=NAMES[found.integers],
        scale=found.scale,
        low=found.low,
        high=found.high,
        shape=tuple(found.shape[: found.rank]),
        order=found.order.decode() if found.order else '',
        mean=tuple(found.mean[i] for i in channels),
        std=tuple(found.std[i] for i in channels),
    )


def _structs(arrays: Sequence[np.ndarray]) -> ctypes.Array:
    return (ArrayStruct * len(arrays))(
        *(ArrayStruct(TYPES[str(a.dtype)], a.ctypes.data, a.nbytes) for a in arrays)
    )
