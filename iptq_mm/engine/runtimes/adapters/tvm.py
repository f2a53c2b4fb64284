"""Apache TVM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .base import Run, Runtime


class Tvm(Runtime):
    """Apache TVM, compiled by LLVM for the CPU."""

    name = 'TVM'
    packages = ('apache-tvm', 'onnx')

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        import onnx
        import tvm
        from tvm import relax
        from tvm.relax.frontend.onnx import from_onnx

        model = onnx.load(path)
        module = from_onnx(model, keep_params_in_input=False)
        machine = relax.VirtualMachine(tvm.compile(module, target='llvm'), tvm.cpu())
        names = [x.name for x in model.graph.input]

        def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            made: Any = machine['main'](*[tvm.runtime.tensor(feeds[n]) for n in names])
            outputs = [made] if isinstance(made, tvm.runtime.Tensor) else made
            return [y.numpy() for y in outputs]

        return run
