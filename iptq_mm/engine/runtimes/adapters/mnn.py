"""MNN."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .base import Run, Runtime, kept_lines

#: The compiled converter alone: MNN's own module around it installs packages.
_CONVERT = 'import sys, _tools; _tools.mnnconvert(sys.argv)'


class Mnn(Runtime):
    """MNN, with its converter."""

    name = 'MNN'
    packages = ('MNN', 'onnx')

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        import onnx

        file = path.with_suffix('.mnn')
        options = ['-f', 'ONNX', '--modelFile', str(path), '--MNNModel', str(file)]
        done = subprocess.run(
            [sys.executable, '-c', _CONVERT, *options], capture_output=True, text=True
        )
        printed = done.stdout + done.stderr
        if not file.exists():
            lacks = kept_lines(printed, 'Not Support').partition('Not Support:')[2]
            raise RuntimeError(f'lacks {lacks}' if lacks else printed[-500:])
        import MNN
        from MNN import expr

        graph = onnx.load(path).graph
        outputs = [x.name for x in graph.output]
        names = [x.name for x in graph.input]
        net = MNN.nn.load_module_from_file(str(file), names, outputs)
        kinds = dict(int32=expr.int, int64=expr.int64, uint8=expr.uint8)

        def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            given = []
            for name in names:
                x = feeds[name]
                if x.dtype.name not in kinds:
                    raise TypeError(f'no input of {x.dtype}')
                kind = kinds[x.dtype.name]
                given.append(expr.const(x.flatten().tolist(), x.shape, expr.NCHW, kind))
            made = net.forward(given)
            return [np.array(y.read()) for y in made]

        return run
