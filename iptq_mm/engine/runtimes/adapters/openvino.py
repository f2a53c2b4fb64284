"""OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .base import Run, Runtime


class OpenVino(Runtime):
    """OpenVINO on the CPU, asked for 32 bits where it computes in floats."""

    name = 'OpenVINO'
    packages = ('openvino',)

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        import openvino

        core = openvino.Core()
        options = {'INFERENCE_PRECISION_HINT': 'f32'}
        compiled = core.compile_model(core.read_model(path), 'CPU', options)
        return lambda feeds: [np.array(y) for y in compiled(dict(feeds)).values()]
