"""Programs compiled for files, which have no Python beside them."""

from __future__ import annotations

from ...ir.graph import Program, ProgramError
from .compilation import Compilation
from .compiler import compile_program
from .context import Unsupported


def kernels_only(program: Program, what: str) -> Compilation:
    """Compile a program of which every node has a kernel.

    Args:
        program: The program.
        what: What is to be made of it, for messages.

    Raises:
        ProgramError: If a node has no kernel, so that only Python could run it.
    """
    try:
        made = compile_program(program)
    except Unsupported as error:
        raise ProgramError(f'no {what} can be made: {error}') from error
    if made.fallbacks:
        reasons = '; '.join(sorted(made.fallbacks))
        raise ProgramError(
            f'no {what} can be made, since the reference computes '
            f'{sum(made.fallbacks.values())} of {len(program.nodes)} nodes in Python '
            f'({reasons}). Quantize with functions and bits that have kernels, or '
            'export an ONNX model'
        )
    return made
