"""The shared library, and its structs (``runtime/include/iptq.h``)."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path

#: Environment variable: the shared library to use instead of the one beside this file.
VARIABLE = 'IPTQ_LIBRARY'
#: Version of the C interface.
ABI = 1
#: Numbers of element types, by numpy's names.
TYPES = {'uint8': 0, 'int8': 1, 'int16': 2, 'int32': 3, 'float32': 5}
NAMES = {number: name for name, number in TYPES.items()}


class PortStruct(ctypes.Structure):
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


class ArrayStruct(ctypes.Structure):
    """``iptq_array``."""

    _fields_ = [
        ('type', ctypes.c_int),
        ('data', ctypes.c_void_p),
        ('bytes', ctypes.c_size_t),
    ]


class Error(RuntimeError):
    """What the library refused, in its words (``iptq_last_error``)."""


class Library:
    """The shared library.

    Args:
        path: Its file.

    Attributes:
        c: The functions, by ctypes.

    Raises:
        Error: If it cannot be opened, or has another interface.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self.c = c = ctypes.CDLL(os.fspath(path))
        except OSError as error:
            raise Error(
                f'{path} cannot be opened ({error}): install iptq_runtime again, or '
                f'name a libiptq.so of this machine as {VARIABLE}'
            ) from None
        try:
            for name in ('open', 'open_memory', 'input', 'output'):
                getattr(c, f'iptq_{name}').restype = ctypes.c_void_p
            texts = ('version', 'last_error', 'name', 'instruction_set_in_use')
            for name in texts:
                getattr(c, f'iptq_{name}').restype = ctypes.c_char_p
            for name in ('inputs', 'outputs', 'working_memory'):
                getattr(c, f'iptq_{name}').restype = ctypes.c_size_t
            found = c.iptq_abi()
        except AttributeError as error:
            raise Error(f'{path} is no libiptq.so: {error}') from None
        if found != ABI:
            raise Error(f'{path} has interface {found}, this package wants {ABI}')

    def error(self) -> Error:
        """The last error of this thread."""
        return Error(self.c.iptq_last_error().decode())


@lru_cache(maxsize=1)
def bundled() -> Library:
    """The library beside this file, or the one that the environment names."""
    here = Path(__file__).with_name('libiptq.so')
    return Library(os.environ.get(VARIABLE) or here)
