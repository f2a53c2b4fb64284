"""Scripts, like those of tools/, run in the process of a test."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from mmengine.logging import MMLogger


class Ran(NamedTuple):
    """What a script did.

    Attributes:
        code: Exit code.
        out: What it printed.
        err: What it wrote to the error output.
    """

    code: int
    out: str
    err: str

    @property
    def mistake(self) -> str:
        """The one line about a mistake of the user."""
        assert self.code, self.out
        lines = [x for x in self.err.splitlines() if x.startswith('error: ')]
        assert len(lines) == 1, self.err
        return lines[0]


def as_module(path: Path, register=None) -> ModuleType:
    """A script as a module, its ``main`` not called.

    Args:
        path: The script.
        register: Called with name and module before the script's code runs.
    """
    spec = importlib.util.spec_from_file_location(f'{path.stem}_script', path)
    module = importlib.util.module_from_spec(spec)
    if register:
        register(spec.name, module)
    spec.loader.exec_module(module)
    return module


def without_closed_outputs() -> None:
    """Loggers of earlier tests do not write to outputs that are closed."""
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if getattr(getattr(handler, 'stream', None), 'closed', False):
                logger.removeHandler(handler)


def runner(module: ModuleType, monkeypatch, capsys):
    """Calls the ``main`` of a script with a command line."""

    def run(*arguments) -> Ran:
        without_closed_outputs()
        command = [Path(module.__file__).name, *map(str, arguments)]
        monkeypatch.setattr(sys, 'argv', command)
        return Ran(module.main(), *capsys.readouterr())

    return run
