"""The C interface of the runtime's shared library, by ctypes."""

import ctypes
from pathlib import Path

import numpy as np

TYPES = {'uint8': 0, 'int8': 1, 'int16': 2, 'int32': 3, 'float32': 5}
NAMES = {number: name for name, number in TYPES.items()}


class Port(ctypes.Structure):
    """``iptq_port``."""

    _fields_ = [
        ('name', ctypes.c_char_p),
        ('kind', ctypes.c_int),
        ('integers', ctypes.c_int),
        ('scale', ctypes.c_double),
        ('low', ctypes.c_int64),
        ('high', ctypes.c_int64),
        ('rank', ctypes.c_int),
        ('shape', ctypes.c_int64 * 8),
        ('elements', ctypes.c_int64),
        ('order', ctypes.c_char_p),
        ('mean', ctypes.POINTER(ctypes.c_double)),
        ('std', ctypes.POINTER(ctypes.c_double)),
        ('channels', ctypes.c_int),
    ]


class Array(ctypes.Structure):
    """``iptq_array``."""

    _fields_ = [
        ('type', ctypes.c_int),
        ('data', ctypes.c_void_p),
        ('bytes', ctypes.c_size_t),
    ]


class Error(RuntimeError):
    """What ``iptq_last_error`` says."""


class Library:
    """The library.

    Args:
        build: A build of the runtime.
    """

    def __init__(self, build: Path) -> None:
        self.c = c = ctypes.CDLL(str(build / 'libiptq.so'))
        pointers = ('open', 'open_memory', 'input', 'output')
        for name in pointers:
            getattr(c, f'iptq_{name}').restype = ctypes.c_void_p
        for name in ('version', 'last_error', 'name', 'instruction_set_in_use'):
            getattr(c, f'iptq_{name}').restype = ctypes.c_char_p
        for name in ('inputs', 'outputs', 'working_memory'):
            getattr(c, f'iptq_{name}').restype = ctypes.c_size_t

    def error(self) -> Error:
        """The last error of this thread."""
        return Error(self.c.iptq_last_error().decode())


class Model:
    """An open model.

    Args:
        library: The library.
        source: A path, or the contents of a file.
    """

    def __init__(self, library: Library, source: Path | bytes) -> None:
        self.library, self._c = library, library.c
        if isinstance(source, bytes):
            self._kept = ctypes.create_string_buffer(source, len(source))
            made = self._c.iptq_open_memory(self._kept, ctypes.c_size_t(len(source)))
        else:
            made = self._c.iptq_open(str(source).encode())
        if not made:
            raise library.error()
        self.handle = ctypes.c_void_p(made)
        self.inputs = self._ports('input')
        self.outputs = self._ports('output')

    def _ports(self, what: str) -> list[Port]:
        count = getattr(self._c, f'iptq_{what}s')(self.handle)
        found = getattr(self._c, f'iptq_{what}')
        assert found(self.handle, ctypes.c_size_t(count)) is None
        return [
            Port.from_address(found(self.handle, ctypes.c_size_t(i)))
            for i in range(count)
        ]

    def __call__(self, *inputs: np.ndarray, real: bool = False) -> list[np.ndarray]:
        """Run it; outputs are integers unless ``real``."""
        made = [
            np.empty(
                list(port.shape[: port.rank]),
                'float32' if real else NAMES[port.integers],
            )
            for port in self.outputs
        ]
        given, taken = self._arrays(inputs), self._arrays(made)
        failed = self._c.iptq_predict(
            self.handle,
            given,
            ctypes.c_size_t(len(inputs)),
            taken,
            ctypes.c_size_t(len(made)),
        )
        if failed:
            raise self.library.error()
        return made

    @staticmethod
    def _arrays(arrays: tuple[np.ndarray, ...] | list[np.ndarray]) -> ctypes.Array:
        return (Array * len(arrays))(
            *(Array(TYPES[str(a.dtype)], a.ctypes.data, a.nbytes) for a in arrays)
        )

    def close(self) -> None:
        """Close it."""
        self._c.iptq_close(self.handle)
