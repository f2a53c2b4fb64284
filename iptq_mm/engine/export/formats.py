"""The formats in which programs are written, by name or by the end of a file's name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ...calibration import ConfigError
from ...program import Program, save_program
from ...program.backends.native.c_source.writer import write_c
from ...program.backends.native.file.writer import write_compiled
from ...program.backends.onnx import export_onnx
from .known import write_known


def _write_onnx(program: Program, path: str | os.PathLike) -> None:
    export_onnx(program, path)
    write_known(program, path)


#: What writes each format.
WRITERS: dict[str, Callable[[Program, str | os.PathLike], None]] = {
    'program': save_program,
    'onnx': _write_onnx,
    'file': write_compiled,
    'c': write_c,
}
_BY_SUFFIX = {'.onnx': 'onnx', '.iptq': 'file', '.c': 'c'}


def format_of(path: str | os.PathLike, to: str | None = None) -> str:
    """The name of the format in which a file is to be written.

    Args:
        path: The file; its suffix decides unless ``to`` does.
        to: A format, or None.

    Raises:
        ConfigError: If there is no such format.
    """
    name = to or _BY_SUFFIX.get(Path(path).suffix, 'program')
    if name not in WRITERS:
        raise ConfigError(f"no format '{name}': there are {', '.join(WRITERS)}")
    return name


def write_program(
    program: Program, path: str | os.PathLike, to: str | None = None
) -> None:
    """Write a program in a format; the file is whole or not there.

    Args:
        program: The program.
        path: File to write.
        to: See :func:`format_of`.

    Raises:
        ConfigError: If there is no such format.
        ProgramError: If the format cannot express the program.
        RuntimeError: If a package that it needs is missing.
    """
    WRITERS[format_of(path, to)](program, path)
