"""Opens the compiled library with ctypes and runs commands.

Without a library and without a compiler, callers fall back to torch.
"""

from __future__ import annotations

import ctypes
import os
import re
from functools import lru_cache
from pathlib import Path

import torch

from .build import INSTALLED, BuildError, build, signature
from .commands import Command
from .layout import differences

#: Environment variable: the instruction set to use instead of the best of the CPU,
#: portable, avx2, avxvnni, avx512vnni, avx512vnni+vbmi or amx, on ARM neon, dotprod or
#: i8mm; or none for no library at all, as on a machine without a compiler.
ISA_VARIABLE = 'IPTQ_MM_NATIVE_ISA'

#: Differences that an error lists.
_MOST_LISTED = 4
_OPENMP = re.compile(r'lib(g|i)?omp[^/]*\.(so|dylib)')


class NativeError(RuntimeError):
    """The native library cannot be used here."""


def library() -> ctypes.CDLL:
    """Returns the library: that of the installation, or one built now into the cache.

    Raises:
        NativeError: If there is neither a library nor a compiler, the library is not
            that of these sources, or the environment forbids it.
    """
    opened = _opened()
    if isinstance(opened, NativeError):
        raise opened
    return opened


@lru_cache(maxsize=1)
def _opened() -> ctypes.CDLL | NativeError:
    """Returns the library, or the error, since a second attempt would fail, too."""
    try:
        return open_library()
    except NativeError as error:
        return error


def open_library() -> ctypes.CDLL:
    """Opens the library anew; :func:`library` does so once.

    Raises:
        NativeError: See :func:`library`.
    """
    wanted = os.environ.get(ISA_VARIABLE)
    if wanted == 'none':
        raise NativeError(f'{ISA_VARIABLE} is none')
    try:
        path = INSTALLED if INSTALLED.exists() else build()
        loaded = ctypes.CDLL(str(path))
    except (BuildError, OSError) as error:
        raise NativeError(f'no native library: {error}') from error
    _check(loaded, path)
    loaded.iptq_level_name.restype = ctypes.c_char_p
    loaded.iptq_run.restype = None
    loaded.iptq_run.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    loaded.iptq_prefetch.restype = None
    loaded.iptq_prefetch.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    if wanted:
        _set_level(loaded, wanted)
    return loaded


def _check(loaded: ctypes.CDLL, path: Path) -> None:
    """Makes sure that the library was compiled from the sources of this package.

    Raises:
        NativeError: If it was not, or its structs are not those of ``commands.py``.
    """
    theirs = _text(loaded, 'iptq_signature')
    if theirs != signature():
        raise NativeError(
            f'{path} was compiled from other sources than those of this package '
            f'({theirs or "older"}, not {signature()}). Install the package again, or '
            f'delete the file: the library is then compiled when it is first used.'
        )
    wrong = differences(_text(loaded, 'iptq_layout'))
    if wrong:
        listed = '; '.join(wrong[:_MOST_LISTED])
        raise NativeError(
            f'commands.py and fields.py do not have the structs of commands.h and '
            f'fields.h: {listed}{"; ..." if len(wrong) > _MOST_LISTED else ""}. '
            f'Give both the same fields in the same order.'
        )


def _text(loaded: ctypes.CDLL, name: str) -> str:
    """Returns what a function of the library says; empty if there is none."""
    function = getattr(loaded, name, None)
    if function is None:
        return ''
    function.restype = ctypes.c_char_p
    return function().decode()


def available() -> bool:
    """Returns whether there is a library, or a compiler that makes it."""
    return not isinstance(_opened(), NativeError)


def loaded() -> bool:
    """Returns whether the library was opened before; nothing is built."""
    tried = _opened.cache_info().currsize > 0
    return tried and not isinstance(_opened(), NativeError)


def prefetch(lines: ctypes.Array) -> None:
    """Lets the CPU load cache lines, many at a time.

    It is harmless if the memory has been freed. Nothing is done before the library is
    opened.

    Args:
        lines: Addresses, an array of ``c_void_p``.
    """
    if loaded():
        library().iptq_prefetch(lines, len(lines))


def levels() -> list[str]:
    """Returns the instruction sets that this CPU has, simplest first."""
    return _levels(library())


def level() -> str:
    """Returns the instruction set in use."""
    return levels()[library().iptq_level()]


def use_level(name: str) -> str:
    """Switches to another instruction set and returns the previous one.

    Raises:
        NativeError: If this CPU does not have it.
    """
    previous = level()
    _set_level(library(), name)
    return previous


def run(commands: list[Command], threads: int | None = None) -> None:
    """Runs commands in order, on the threads that torch would use.

    Args:
        commands: The caller keeps their buffers alive.
        threads: Number of threads; None: that of torch.
    """
    Prepared(commands).run(threads)


class Prepared:
    """A list of commands that is ready to run, any number of times.

    Args:
        commands: Kept alive with this object.
    """

    def __init__(self, commands: list[Command]) -> None:
        self.commands = commands
        addresses = [ctypes.addressof(command) for command in commands]
        self._list = (ctypes.c_void_p * len(addresses))(*addresses)
        self._run = library().iptq_run

    def run(self, threads: int | None = None) -> None:
        """Runs the commands; see :func:`run`."""
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
    """Returns the address of ``GOMP_parallel`` in the OpenMP library of torch."""
    for path in _loaded_libraries():
        if _OPENMP.match(path.name):
            function = getattr(ctypes.CDLL(str(path)), 'GOMP_parallel', None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value
    return None


def _loaded_libraries() -> list[Path]:
    """Returns the files mapped into this process, torch's own first."""
    try:
        lines = Path('/proc/self/maps').read_text().splitlines()
    except OSError:  # not Linux
        return []
    paths = {Path(line.split()[-1]) for line in lines if '/' in line}
    return sorted(paths, key=lambda p: ('torch' not in p.parts, str(p)))
