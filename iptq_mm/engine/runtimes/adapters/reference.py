"""The evaluator that defines what ONNX's operators do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Run, Runtime

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnx.reference import ReferenceEvaluator


class Reference(Runtime):
    """onnx's ReferenceEvaluator: numpy, operator by operator."""

    name = "onnx's reference evaluator"
    packages = ('onnx',)

    def prepare(self, path: Path) -> Run:
        """See the base class."""
        import onnx

        session: Any = evaluator(onnx.load(path))
        return lambda feeds: session.run(None, dict(feeds))


def evaluator(model: ModelProto) -> ReferenceEvaluator:
    """A reference evaluator that gathers any number of elements.

    The one of onnx chooses among the elements with numpy's ``choose``, and stops where
    a table has more than 63.
    """
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class GatherElements(OpRun):
        """The elements of ``data`` at ``indices`` along an axis."""

        def _run(self, data: Any, indices: Any, axis: int | None = None) -> tuple:
            return (np.take_along_axis(data, indices, axis or 0),)

    return ReferenceEvaluator(model, new_ops=[GatherElements])
