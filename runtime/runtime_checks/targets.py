"""The machines that the runtime is built for: their compilers and emulators."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .building import BUILDS, RUNTIME, BuildError, alone, run_tool
from .wasm import WasmTarget


@dataclass(frozen=True)
class Target:
    """A machine.

    Attributes:
        name: Its name.
        triple: Prefix of its compilers; empty: this machine.
        processor: What CMake calls it.
        emulator: Command that runs its programs.
        options: Further options of CMake.
    """

    name: str
    triple: str = ''
    processor: str = ''
    emulator: tuple[str, ...] = ()
    options: tuple[str, ...] = field(default=())

    def missing(self) -> str:
        """Returns which programs have to be installed; empty if none."""
        wanted = ['cmake', self._compiler('g++'), *self.emulator[:1]]
        found = [name for name in wanted if shutil.which(name) is None]
        if not found:
            return ''
        return f'{self.name}: {", ".join(found)} missing: {self._remedy()}'

    def build(self, folder: Path | None = None) -> Path:
        """Builds the runtime, as far as it is not built.

        Args:
            folder: Where; None: a folder of this target beside the sources.

        Returns:
            The folder, which has ``iptq-run`` and the libraries.

        Raises:
            BuildError: If a tool is missing or fails.
        """
        if self.missing():
            raise BuildError(self.missing())
        folder = BUILDS / self.name if folder is None else folder
        options = [f'-D{option}' for option in self.options]
        if self.triple:
            options += [
                '-DCMAKE_SYSTEM_NAME=Linux',
                f'-DCMAKE_SYSTEM_PROCESSOR={self.processor}',
                f'-DCMAKE_C_COMPILER={self._compiler("gcc")}',
                f'-DCMAKE_CXX_COMPILER={self._compiler("g++")}',
            ]
        if shutil.which('ninja'):
            options += ['-G', 'Ninja']
        with alone(folder):
            run_tool(['cmake', '-S', RUNTIME, '-B', folder, *options])
            run_tool(['cmake', '--build', folder])
        return folder

    def command(self, folder: Path, cpu: str = '') -> list[str]:
        """Returns how ``iptq-run`` of a build is called.

        Args:
            folder: The build.
            cpu: Model of the CPU that is emulated; empty: the emulator's choice.
        """
        model = ['-cpu', cpu] if cpu else []
        return [
            *self.emulator[:1],
            *model,
            *self.emulator[1:],
            str(folder / 'iptq-run'),
        ]

    def levels(self, command: list[str]) -> list[str]:
        """Returns the instruction sets that its CPU has.

        Args:
            command: From :meth:`command`.
        """
        made = subprocess.run(
            [*command, '--levels'], capture_output=True, text=True, check=True
        )
        return made.stdout.split()

    def _compiler(self, name: str) -> str:
        return f'{self.triple}-{name}' if self.triple else name

    def _remedy(self) -> str:
        packages = ['cmake', f'g++-{self.triple}', 'qemu-user']
        return f'apt install {" ".join(packages if self.triple else packages[:1])}'


def _emulated(name: str, triple: str, emulator: str) -> Target:
    return Target(name, triple, name, (emulator, '-L', f'/usr/{triple}'))


#: By name. All but the first are emulated on it.
TARGETS: dict[str, Target | WasmTarget] = {
    target.name: target
    for target in (
        Target('host'),
        _emulated('aarch64', 'aarch64-linux-gnu', 'qemu-aarch64'),
        _emulated('riscv64', 'riscv64-linux-gnu', 'qemu-riscv64'),
        _emulated('arm', 'arm-linux-gnueabihf', 'qemu-arm'),
        WasmTarget(),
    )
}

#: This machine, with all that sanitizers find; it has the fuzzer, too.
SANITIZED = Target(
    'sanitized', options=('IPTQ_SANITIZE=address,undefined', 'IPTQ_FUZZ=ON')
)
