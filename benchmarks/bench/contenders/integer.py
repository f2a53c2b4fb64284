"""The quantized model, on each back end of the integer program."""

from __future__ import annotations

import copy

import torch

from iptq_mm.engine.export.program import joined_program
from iptq_mm.program import Deployed, Program, Session, use_backend

from ..cases import Case
from .base import Contender, Prepared, Unavailable


class IntegerModel(Contender):
    """The quantized model on a back end.

    Like the other runtimes, it gets what ``tools/export.py`` makes of a classifier: one
    program. A detector stays mm's model, with its regions on the back end.

    Args:
        name: Of the contender.
        backend: Name in ``BACKENDS``; None: the eager integer mode.
    """

    integers = True

    def __init__(self, name: str, backend: str | None) -> None:
        self.name, self.backend = name, backend

    def prepare(self, case: Case) -> Prepared:
        """See the base class."""
        if self.backend is not None:
            try:
                Session(self.backend).check()
            except RuntimeError as error:
                raise Unavailable(str(error)) from error
        if self.backend is not None and not case.is_detector:
            deployed = Deployed(
                case.once('program', lambda: _program(case)), self.backend
            )
            images = case.images()
            return Prepared(lambda: deployed(images))
        model = copy.deepcopy(case.integers)
        use_backend(model, self.backend)
        return Prepared(case.runner(model))


@torch.no_grad()
def _program(case: Case) -> Program:
    """From normalized images to what the model computes."""
    model = copy.deepcopy(case.integers)
    return joined_program(model, case.pixels)
