"""The compiled library, loaded with ctypes; none is no harm."""

from __future__ import annotations

import ctypes
import os
import re
from functools import lru_cache
from pathlib import Path

import torch

from .build import INSTALLED, BuildError, build
from .commands import KINDS, Command

#: Instruction set to use instead of the best: portable, avx2, avx512vnni or
#: avx512vnni+vbmi; none: no library, as on a machine without a compiler.
ISA_VARIABLE = 'IPTQ_MM_NATIVE_ISA'

_OPENMP = re.compile(r'lib(g|i)?omp[^/]*\.(so|dylib)')


class NativeError(RuntimeError):
    """The native back end cannot be used here."""


def library() -> ctypes.CDLL:
    """The library: that of the installation, or built now into the cache.

    Raises:
        NativeError: If there is neither a library nor a compiler, the library does
            not fit this package, or the environment says that there shall be none.
    """
    opened = _opened()
    if isinstance(opened, NativeError):
        raise opened
    return opened


@lru_cache(maxsize=1)
def _opened() -> ctypes.CDLL | NativeError:
    """The library, or why there is none: a second attempt would say the same."""
    try:
        return _open()
    except NativeError as error:
        return error


def _open() -> ctypes.CDLL:
    wanted = os.environ.get(ISA_VARIABLE)
    if wanted == 'none':
        raise NativeError(f'{ISA_VARIABLE} is none')
    try:
        loaded = ctypes.CDLL(str(INSTALLED if INSTALLED.exists() else build()))
    except (BuildError, OSError) as error:
        raise NativeError(f'no native library: {error}') from error
    loaded.iptq_level_name.restype = ctypes.c_char_p
    loaded.iptq_command_size.restype = ctypes.c_int64
    loaded.iptq_command_size.argtypes = [ctypes.c_int64]
    loaded.iptq_run.restype = None
    loaded.iptq_run.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    for kind, command in enumerate(KINDS):
        if loaded.iptq_command_size(kind) != ctypes.sizeof(command):
            raise NativeError(
                f'{INSTALLED} was built from other sources: build the package anew'
            )
    loaded.iptq_prefetch.restype = None
    loaded.iptq_prefetch.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    if wanted:
        _set_level(loaded, wanted)
    return loaded


def available() -> bool:
    """Whether there is a library, or a compiler that makes it."""
    try:
        return library() is not None
    except NativeError:
        return False


def loaded() -> bool:
    """Whether there is a library that something has loaded; nothing is built."""
    tried = _opened.cache_info().currsize > 0
    return tried and not isinstance(_opened(), NativeError)


def prefetch(lines: ctypes.Array) -> None:
    """Have the CPU bring cache lines, many at a time; whatever lies there by now.

    Args:
        lines: Their addresses, as ``c_void_p``. Nothing is done without a library.
    """
    if loaded():
        library().iptq_prefetch(lines, len(lines))


def levels() -> list[str]:
    """Instruction sets that this CPU has, simplest first."""
    return _levels(library())


def level() -> str:
    """The instruction set in use."""
    return levels()[library().iptq_level()]


def use_level(name: str) -> str:
    """Use another instruction set; returns the previous one.

    Raises:
        NativeError: If this CPU does not have it.
    """
    previous = level()
    _set_level(library(), name)
    return previous


def run(commands: list[Command], threads: int | None = None) -> None:
    """Run commands in order, on the threads that torch would use.

    Args:
        commands: Their buffers belong to the caller and stay alive.
        threads: Number of threads; None: that of torch.
    """
    Prepared(commands).run(threads)


class Prepared:
    """A list of commands as the library takes it.

    Args:
        commands: Kept alive with this object.
    """

    def __init__(self, commands: list[Command]) -> None:
        self.commands = commands
        addresses = [ctypes.addressof(command) for command in commands]
        self._list = (ctypes.c_void_p * len(addresses))(*addresses)
        self._run = library().iptq_run

    def run(self, threads: int | None = None) -> None:
        """Run them."""
        threads = torch.get_num_threads() if threads is None else threads
        parallel = _gomp_parallel() if threads > 1 else None
        self._run(self._list, len(self.commands), threads, parallel)


def _levels(loaded: ctypes.CDLL) -> list[str]:
    names: list[str] = []
    while (name := loaded.iptq_level_name(len(names))) is not None:
        names.append(name.decode())
    return names


def _set_level(loaded: ctypes.CDLL, name: str) -> None:
    names = _levels(loaded)
    if name not in names:
        raise NativeError(
            f"this CPU has no instruction set '{name}': one of {', '.join(names)}"
        )
    loaded.iptq_set_level(names.index(name))


@lru_cache(maxsize=1)
def _gomp_parallel() -> int | None:
    """Address of ``GOMP_parallel`` of the OpenMP library that torch has loaded."""
    for path in _loaded_libraries():
        if _OPENMP.match(path.name):
            function = getattr(ctypes.CDLL(str(path)), 'GOMP_parallel', None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value
    return None


def _loaded_libraries() -> list[Path]:
    """Files mapped into this process; torch's own first."""
    try:
        lines = Path('/proc/self/maps').read_text().splitlines()
    except OSError:  # not Linux
        return []
    paths = {Path(line.split()[-1]) for line in lines if '/' in line}
    return sorted(paths, key=lambda p: ('torch' not in p.parts, str(p)))
