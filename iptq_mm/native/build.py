"""Compiles the native library: plain C++17 without dependencies, within a minute.

This file works without the package, since ``setup.py`` loads it alone. Each instruction
set has a translation unit of its own, so that nothing that was compiled for a newer CPU
runs on an older one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / 'src'
#: Where ``setup.py`` puts the library.
INSTALLED = Path(__file__).resolve().parent / 'libiptq_native.so'

# Without fused multiply-adds, floats come out the same on every instruction set.
_FLAGS = [
    '-std=c++17',
    '-O3',
    '-fPIC',
    '-fno-math-errno',
    '-ffp-contract=off',
    '-fvisibility=hidden',
]
_X86 = ['-DIPTQ_X86']
_AVX512 = ['f', 'bw', 'dq', 'vl', 'vnni']
_UNITS: dict[str, list[str]] = {
    'entry.cpp': [],
    'executor.cpp': [],
    'layout.cpp': [],
    'isa/portable.cpp': [],
}
#: Units for AMX, which GCC 11 and Clang 12 know first; Linux alone has the call for it.
_AMX_UNIT = 'isa/amx.cpp'
#: CPUs with AMX have VBMI; the executor looks for both.
_AMX = ['-mamx-tile', '-mamx-int8', '-mavx512vbmi']
_X86_UNITS = {
    'isa/avx2.cpp': ['-mavx2'],
    'isa/avx512.cpp': [
        '-mavx2',
        '-mbmi2',
        *(f'-mavx512{part}' for part in _AVX512),
        '-mprefer-vector-width=512',
    ],
}
#: Products of bytes in 256 bits, which GCC 11 and Clang 12 know first.
_AVXVNNI_UNIT = 'isa/avxvnni.cpp'
_AVXVNNI = ['-mavx2', '-mavxvnni']
_ARM64 = ['-DIPTQ_ARM64']
#: Of GCC, 10.3 is the first that knows all of them, of Clang 11. Memory is read and
#: written as numbers of several widths.
_ARM64_UNITS = {
    'isa/neon.cpp': ['-fno-strict-aliasing'],
    'isa/dotprod.cpp': ['-fno-strict-aliasing', '-march=armv8.2-a+dotprod'],
    'isa/i8mm.cpp': ['-fno-strict-aliasing', '-march=armv8.2-a+dotprod+i8mm'],
}

#: Of the files that are compiled; an editor may leave others beside them.
_SOURCE_SUFFIXES = ('.cpp', '.h', '.inl')
_ADVICE = 'name a folder that can be written as XDG_CACHE_HOME'


class BuildError(RuntimeError):
    """The library cannot be built.

    There is no compiler, it refuses the sources, or the folder cannot be written.
    """


def compiler() -> str | None:
    """Returns the C++ compiler: ``$CXX`` if set, else g++ or clang++, or None."""
    chosen = os.environ.get('CXX')
    names = [chosen] if chosen else ['g++', 'clang++']
    return next((path for name in names if (path := shutil.which(name))), None)


def signature() -> str:
    """Returns a hash of the sources, the flags and the kind of machine.

    The library has that of its own sources: ``library.py`` compares them.
    """
    digest = hashlib.sha256(platform.machine().encode())
    digest.update(
        repr([_FLAGS, _UNITS, _X86_UNITS, _AMX, _AVXVNNI, _ARM64_UNITS]).encode()
    )
    paths = (path for path in SOURCES.rglob('*') if path.suffix in _SOURCE_SUFFIXES)
    for name, path in sorted(
        (path.relative_to(SOURCES).as_posix(), path) for path in paths
    ):
        digest.update(name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cached_path() -> Path:
    """Returns the file in the user's cache folder that :func:`build` makes by default.

    Raises:
        BuildError: If there is neither a cache folder nor a home directory.
    """
    root = os.environ.get('XDG_CACHE_HOME')
    try:
        folder = Path(root) if root else Path.home() / '.cache'
    except RuntimeError as error:
        raise BuildError(f'no home directory to build in: {_ADVICE}') from error
    return folder / 'iptq_mm' / f'native-{signature()}.so'


def build(target: str | os.PathLike | None = None) -> Path:
    """Compiles the library, unless the cache has it.

    Args:
        target: File to make; None: :func:`cached_path`, whose name has the signature.

    Returns:
        The library.

    Raises:
        BuildError: If there is no compiler or it fails, with its messages, or the
            folder cannot be written.
    """
    if target is None and cached_path().exists():
        return cached_path()
    path = Path(target) if target is not None else cached_path()
    command = compiler()
    if command is None:
        raise BuildError('no C++ compiler: install g++ or clang++, or set CXX')
    x86 = platform.machine().lower() in ('x86_64', 'amd64')
    flags = [*_FLAGS, *(_X86 if x86 else []), f'-I{SOURCES}']
    flags.append(f'-DIPTQ_SIGNATURE="{signature()}"')
    units = {**_UNITS, **(_X86_UNITS if x86 else {})}
    if x86 and _knows_amx(command):
        flags.append('-DIPTQ_AMX')
        units[_AMX_UNIT] = [*_X86_UNITS['isa/avx512.cpp'], *_AMX]
    if x86 and _knows_avxvnni(command):
        flags.append('-DIPTQ_AVXVNNI')
        units[_AVXVNNI_UNIT] = _AVXVNNI
    if _is_arm64() and _knows_arm64(command):
        flags += _ARM64
        units.update(_ARM64_UNITS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=path.parent)
    except OSError as error:
        raise BuildError(f'{path} cannot be written ({error}): {_ADVICE}') from error
    with temporary as folder:
        objects = [Path(folder, f'{Path(name).stem}.o') for name in units]
        _run_all(
            [command, *flags, *more, '-c', str(SOURCES / name), '-o', str(made)]
            for (name, more), made in zip(units.items(), objects, strict=True)
        )
        library = Path(folder, 'library.so')
        _run_all([[command, '-shared', *map(str, objects), '-o', str(library)]])
        library.replace(path)
    return path


def _is_arm64() -> bool:
    return platform.machine().lower() in ('aarch64', 'arm64')


def _knows_arm64(command: str) -> bool:
    line = 'uint8x16x4_t f(const uint8_t* p) { return vld1q_u8_x4(p); }'
    source = f'#include <arm_neon.h>\n{line}'
    return _compiles(command, _ARM64_UNITS['isa/i8mm.cpp'], source)


def _knows_avxvnni(command: str) -> bool:
    """Whether the compiler knows it, and the assembler what the compiler writes."""
    line = '__m256i f(__m256i a) { return _mm256_dpbusd_avx_epi32(a, a, a); }'
    return _compiles(command, _AVXVNNI, f'#include <immintrin.h>\n{line}')


def _knows_amx(command: str) -> bool:
    line = 'void f() { asm volatile("tdpbusd %tmm0, %tmm1, %tmm2"); }'
    return platform.system() == 'Linux' and _compiles(command, _AMX, line)


def _compiles(command: str, flags: list[str], line: str) -> bool:
    tried = [command, *flags, '-x', 'c++', '-c', '-', '-o', os.devnull]
    made = subprocess.run(tried, input=line.encode(), capture_output=True, check=False)
    return made.returncode == 0


def _run_all(commands: Iterable[list[str]]) -> None:
    """Runs compilers side by side."""
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    running = [(c, subprocess.Popen(c, **pipes)) for c in commands]  # type: ignore
    messages = [process.communicate()[0] for _, process in running]
    for (command, process), message in zip(running, messages, strict=True):
        if process.returncode:
            raise BuildError(f'{" ".join(command)}\n{message}')


if __name__ == '__main__':
    print(build())
