"""The ``onnx`` back end: ONNX Runtime runs the exported program."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from ....registry import BACKENDS
from ...ir.graph import Program
from ..base import Backend, Runner
from .export import to_onnx


@BACKENDS.register_module('onnx')
class Onnx(Backend):
    """The exported program in ONNX Runtime, on the CPU."""

    def check(self) -> None:
        """See the base class."""
        _runtime()

    def prepare(self, program: Program, device: torch.device) -> Runner:
        """See the base class."""
        onnxruntime = _runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(
            to_onnx(program).SerializeToString(),
            options,
            providers=['CPUExecutionProvider'],
        )

        def run(inputs: Sequence[Tensor]) -> list[Tensor]:
            feeds = {
                f'input_{i}': x.detach().cpu().contiguous().numpy()
                for i, x in enumerate(inputs)
            }
            made = session.run(None, feeds)
            return [torch.from_numpy(x).to(device) for x in made]

        return run


def _runtime() -> ModuleType:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as e:
        raise RuntimeError(
            "back end 'onnx' needs the packages onnx and onnxruntime: "
            'pip install -r requirements/optional.txt'
        ) from e
    return onnxruntime
