"""One known input of a program with its outputs, and a script that compares them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...program import Program, run
from ...utils.files import atomic_write, write_whole

#: What is written beside FILE, whose name begins with NAME.
_SCRIPT = '''"""Compares what a runtime makes of FILE with what it has to make."""
import sys
from pathlib import Path
import numpy as np
def run(path, feeds):  # for another runtime: from inputs by name to a list of outputs
    import onnxruntime
    return onnxruntime.InferenceSession(path).run(None, feeds)
path = Path(__file__).with_name('FILE')
known = dict(np.load(path.with_name('NAME_check.npz')))
feeds = {name: known.pop(name) for name in list(known) if name.startswith('input_')}
pairs = list(zip(known.values(), run(str(path), feeds), strict=True))
differ = [int(np.sum(expected != made)) for expected, made in pairs]
print('integers that differ, by output:', differ, 'of', [y.size for y, _ in pairs])
sys.exit(any(differ))
'''


def known_inputs(program: Program, seed: int = 0) -> list[Tensor]:
    """Integers for the inputs of a program, evenly spread over their ranges.

    Args:
        program: The program.
        seed: Other numbers give other integers.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = []
    for port in program.inputs:
        v = program.values[port.value]
        x = torch.randint(v.low, v.high + 1, v.shape, generator=generator)
        inputs.append(x.to(v.dtype))
    return inputs


def write_known(program: Program, path: str | os.PathLike) -> list[Path]:
    """Write ``NAME_check.npz`` and ``NAME_check.py`` beside ``NAME.onnx``.

    The first has integers for ``input_0``, ... and what the reference makes of them,
    ``output_0``, ... The second runs the model in ONNX Runtime, or whatever else is
    written into it, and says how many integers differ.

    Args:
        program: What was exported.
        path: The ONNX file.

    Returns:
        The files.

    Raises:
        OSError: If one of them cannot be written.
    """
    path = Path(path)
    inputs = known_inputs(program)
    outputs = run(program, inputs)
    arrays: dict[str, Any] = {f'input_{i}': x.numpy() for i, x in enumerate(inputs)}
    arrays |= {f'output_{i}': y.numpy() for i, y in enumerate(outputs)}

    def write(beside: Path) -> None:
        with open(beside, 'wb') as stream:  # numpy appends .npz to a name
            np.savez_compressed(stream, **arrays)

    files = [path.with_name(f'{path.stem}_check{end}') for end in ('.npz', '.py')]
    write_whole(files[0], write)
    atomic_write(
        files[1], _SCRIPT.replace('NAME', path.stem).replace('FILE', path.name)
    )
    return files
