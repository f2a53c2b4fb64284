"""IREE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .base import Run, Runtime


class Iree(Runtime):
    """IREE, compiled for this CPU."""

    name = 'IREE'
    packages = ('iree-base-compiler', 'iree-base-runtime', 'onnx')

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        import iree.compiler
        import iree.runtime
        import onnx
        from iree.compiler.tools.import_onnx import __main__ as importer

        text = path.with_suffix('.mlir')
        importer.main(importer.parse_arguments([str(path), '-o', str(text)]))
        data = iree.compiler.compile_file(
            str(text),
            input_type='onnx',
            target_backends=['llvm-cpu'],
            extra_args=['--iree-llvmcpu-target-cpu=host'],
        )
        context = iree.runtime.SystemContext(config=iree.runtime.Config('local-sync'))
        module = iree.runtime.VmModule.copy_buffer(context.instance, data)
        context.add_vm_module(module)
        graph = onnx.load(path).graph
        call = context.modules[module.name][graph.name]
        names = [x.name for x in graph.input]
        kinds = [
            onnx.helper.tensor_dtype_to_np_dtype(x.type.tensor_type.elem_type)
            for x in graph.output
        ]

        def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            made = call(*(feeds[name] for name in names))
            outputs = made if isinstance(made, list | tuple) else [made]
            # Its integers have no sign of their own.
            pairs = zip(outputs, kinds, strict=True)
            return [_as(np.array(y), kind) for y, kind in pairs]  # copied: made goes

        return run


def _as(y: np.ndarray, kind: np.dtype) -> np.ndarray:
    """The same bits in a type of the same size."""
    return y.view(kind) if y.itemsize == kind.itemsize else y
