"""The ``onnx`` back end: ONNX Runtime runs the exported program."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from ....registry import BACKENDS
from ...ir.graph import Program
from ..base import Backend, Executable
from ..boundary import Conversions, fastest_conversions
from .export import to_onnx


@BACKENDS.register_module('onnx')
class Onnx(Backend):
    """The exported program in ONNX Runtime, on the CPU."""

    def check(self) -> None:
        """See the base class."""
        _runtime()

    def conversions(self) -> Conversions:
        """The library's where it is available: small calls notice the difference."""
        return fastest_conversions()

    def prepare(self, program: Program, device: torch.device) -> Executable:
        """See the base class."""
        return _Exported(program, device, self.conversions())


class _Exported(Executable):
    """A program in a session of ONNX Runtime."""

    def __init__(
        self, program: Program, device: torch.device, conversions: Conversions
    ) -> None:
        super().__init__(program, conversions)
        # The session has the tensors once more, and keeps the memory of a call.
        self.own_bytes = program.peak_bytes() + sum(t.nbytes for t in self.held())
        onnxruntime = _runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._device = device
        self._session = onnxruntime.InferenceSession(
            to_onnx(program).SerializeToString(),
            options,
            providers=['CPUExecutionProvider'],
        )

    def run(self, integers: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        feeds = {
            f'input_{i}': x.detach().cpu().contiguous().numpy()
            for i, x in enumerate(integers)
        }
        made = self._session.run(None, feeds)
        return [torch.from_numpy(x).to(self._device) for x in made]


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
