"""tinygrad."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .base import Run, Runtime


class TinyGrad(Runtime):
    """tinygrad on the CPU, or interpreted where clang is missing."""

    name = 'tinygrad'
    packages = ('tinygrad',)

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        os.environ.setdefault('DEV', 'CPU' if shutil.which('clang') else 'PYTHON')
        from tinygrad import Tensor
        from tinygrad.nn.onnx import OnnxRunner

        runner = OnnxRunner(str(path))

        def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            made = runner({name: Tensor(x) for name, x in feeds.items()})
            return [y.numpy() for y in made.values()]

        return run
