"""onnx2tf, and LiteRT for what it makes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .base import Run, Runtime, kept_lines


class Onnx2TF(Runtime):
    """A model that onnx2tf made, in LiteRT."""

    name = 'onnx2tf and LiteRT'
    packages = ('onnx2tf', 'ai-edge-litert', 'onnx')

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        import onnx
        from ai_edge_litert.interpreter import Interpreter

        folder = path.parent / 'tf'
        keep = [x.name for x in onnx.load(path).graph.input]
        done = subprocess.run(
            [sys.executable, '-m', 'onnx2tf', '-i', path, '-o', folder, '-kat', *keep],
            capture_output=True,
            text=True,
        )
        (file, *_) = [*folder.glob('*_float32.tflite'), None]
        if done.returncode or file is None:
            printed = done.stdout + done.stderr
            said = kept_lines(printed, 'ERROR: ', 'is not yet implemented', 'Error:')
            raise RuntimeError(said or printed[-500:])
        interpreter = Interpreter(str(file))
        interpreter.allocate_tensors()

        def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            given = interpreter.get_input_details()
            for about, x in zip(given, feeds.values(), strict=True):
                interpreter.set_tensor(about['index'], x)
            interpreter.invoke()
            made = interpreter.get_output_details()
            return [interpreter.get_tensor(about['index']) for about in made]

        return run
