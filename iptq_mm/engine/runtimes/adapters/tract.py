"""tract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .base import Run, Runtime


class Tract(Runtime):
    """tract, the inference engine in Rust."""

    name = 'tract'
    packages = ('tract', 'onnx')

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        import onnx
        import tract

        runnable = tract.onnx().load(path).into_model().into_runnable()
        names = [x.name for x in onnx.load(path).graph.input]

        def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            return [y.to_numpy() for y in runnable.run([feeds[n] for n in names])]

        return run
