"""The quantized model, on each back end of the integer program."""

from __future__ import annotations

import copy

from iptq_mm.program import Session, use_backend

from ..cases import Case
from .base import Contender, Prepared, Unavailable


class IntegerModel(Contender):
    """The quantized model on a back end.

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
        model = copy.deepcopy(case.integers)
        use_backend(model, self.backend)
        return Prepared(case.runner(model))
