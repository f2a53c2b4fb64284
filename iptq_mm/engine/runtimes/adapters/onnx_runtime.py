"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from .base import Run, Runtime


class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU, with all its optimizations."""

    name = 'ONNX Runtime'
    packages = ('onnxruntime',)

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(path), providers=['CPUExecutionProvider']
        )
        return lambda feeds: session.run(None, dict(feeds))
