"""The runtime as WebAssembly: built by zig's clang, run by node."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .building import BUILDS, RUNTIME, BuildError, alone, run_tool

KERNELS = RUNTIME.parent / 'iptq_mm' / 'native' / 'src'
#: The package of JavaScript, which the modules are built into.
PACKAGE = RUNTIME / 'web'
#: Modules by name, and what each needs of an engine.
VARIANTS = {'iptq': ['-msimd128'], 'iptq-relaxed': ['-msimd128', '-mrelaxed-simd']}

#: As ../CMakeLists.txt has them.
_TRIPLE = '--target=wasm32-wasi'
_FLAGS = [
    _TRIPLE,
    *('-std=gnu++17', '-fno-exceptions', '-fno-rtti', '-fno-math-errno'),
    *(
        '-ffp-contract=off',
        '-fwrapv',
        '-fvisibility=hidden',
        '-fno-threadsafe-statics',
        '-DIPTQ_RUNTIME',
    ),
]
#: Those that are compiled for each variant.
KERNEL_FILES = ('executor.cpp', 'isa/simd128.cpp')
_LINK = [
    *('-O3', '-msimd128', '-nostdlib++', '-mexec-model=reactor'),
    *(
        '-Wl,--export-dynamic',
        '-Wl,--strip-all',
        '-Wl,--gc-sections',
        '-Wl,-z,stack-size=262144',
    ),
]


def _sources() -> list[Path]:
    folders = ('', 'checks', 'file', 'run', 'wasm')
    return [
        x for name in folders for x in sorted((RUNTIME / 'src' / name).glob('*.cpp'))
    ]


def _version() -> str:
    text = (RUNTIME.parent / 'iptq_mm' / 'version.py').read_text()
    found = re.search(r"'([0-9][^']*)'", text)
    if found is None:
        raise BuildError('iptq_mm/version.py has no version')
    return found.group(1)


def compiler() -> list[str]:
    """Returns the command of zig's clang."""
    if shutil.which('zig'):
        return ['zig', 'c++']
    return [sys.executable, '-m', 'ziglang', 'c++']


def _fingerprint() -> str:
    """Returns a digest of all that a build is made of."""
    made = hashlib.sha256(f'{_FLAGS}{_LINK}{VARIANTS}{_version()}'.encode())
    for folder in (RUNTIME / 'src', RUNTIME / 'include', KERNELS):
        for path in sorted(folder.rglob('*')):
            if path.suffix in ('.cpp', '.h', '.inl'):
                made.update(path.read_bytes())
    return made.hexdigest()


@dataclass(frozen=True)
class WasmTarget:
    """A JavaScript engine: like a :class:`.targets.Target`.

    Attributes:
        name: Its name.
        emulator: What runs its programs.
    """

    name: str = 'wasm'
    emulator: tuple[str, ...] = ('node',)

    def missing(self) -> str:
        """Returns which programs have to be installed; empty if none."""
        if shutil.which('node') is None:
            return f'{self.name}: node missing: apt install nodejs'
        return self.missing_compiler()

    def missing_compiler(self) -> str:
        """The same without node."""
        if shutil.which('zig') or importlib.util.find_spec('ziglang'):
            return ''
        return f'{self.name}: zig missing: pip install "ziglang>=0.17"'

    def build(self, folder: Path | None = None) -> Path:
        """Builds the modules into the package, as far as they are not built.

        Args:
            folder: Where the compiler leaves what it makes on its way.

        Returns:
            The package's folder.

        Raises:
            BuildError: If a tool is missing or fails.
        """
        if self.missing_compiler():
            raise BuildError(self.missing_compiler())
        folder = BUILDS / self.name if folder is None else folder
        with alone(folder):
            stamp, wanted = folder / 'built', _fingerprint()
            paths = [PACKAGE / f'{name}.wasm' for name in VARIANTS]
            built = stamp.is_file() and stamp.read_text() == wanted
            if not built or not all(path.is_file() for path in paths):
                for made in _build_all(folder):
                    made.replace(PACKAGE / made.name)
                stamp.write_text(wanted)
        return PACKAGE

    def command(self, folder: Path, cpu: str = '') -> list[str]:
        """Returns how ``iptq-run`` of the package is called.

        Args:
            folder: The package.
            cpu: Ignored.
        """
        return [*self.emulator, str(folder / 'run.js')]

    def levels(self, command: list[str]) -> list[str]:
        """Returns the instruction sets that the engine has.

        Args:
            command: From :meth:`command`.
        """
        made = subprocess.run(
            [*command, '--levels'], capture_output=True, text=True, check=True
        )
        return made.stdout.split()


def _compile(source: Path, options: list[str], folder: Path) -> Path:
    """Compiles a file of C++; returns the object."""
    includes = [f'-I{RUNTIME / "include"}', f'-I{RUNTIME / "src"}', f'-I{KERNELS}']
    made = folder / f'{source.stem}.o'
    made.parent.mkdir(exist_ok=True)
    version = f'-DIPTQ_VERSION="{_version()}"'
    run_tool(
        [*compiler(), *_FLAGS, *options, *includes, version, '-c', source, '-o', made]
    )
    return made


def _build_all(folder: Path) -> Iterator[Path]:
    """Makes all variants of the module, which share what is no kernel."""
    shared = [_compile(x, ['-O3', '-msimd128'], folder) for x in _sources()]
    for name, options in VARIANTS.items():
        own = [
            _compile(KERNELS / x, ['-O3', *options], folder / name)
            for x in KERNEL_FILES
        ]
        run_tool(
            [
                *compiler(),
                _TRIPLE,
                *_LINK,
                *shared,
                *own,
                '-o',
                folder / f'{name}.wasm',
            ]
        )
        yield folder / f'{name}.wasm'
