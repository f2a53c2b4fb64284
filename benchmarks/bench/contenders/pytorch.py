"""PyTorch on floats, operation by operation and compiled."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

from torch import nn

from ..cases import Case
from .base import Contender, Prepared


class Eager(Contender):
    """The model as its authors run it: the reference of all ratios."""

    name = 'pytorch'

    def prepare(self, case: Case) -> Prepared:
        """See the base class."""
        return Prepared(case.runner(case.floats))


class Compiled(Contender):
    """torch.compile with weights as constants, packed for the CPU beforehand.

    Of a detector, the parts that are regions of the quantized model are compiled:
    what stands between them depends on the number of boxes.
    """

    name = 'pytorch_compile'

    def prepare(self, case: Case) -> Prepared:
        """See the base class."""
        model = copy.deepcopy(case.floats)
        parts = [model]
        if case.is_detector:
            parts = [model.get_submodule(region) for region in case.regions]
        for part in _called(parts):
            part.compile(options={'freezing': True})
        return Prepared(case.runner(model))


def _called(parts: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The parts, and in the place of a list of modules its members."""
    for part in parts:
        if isinstance(part, nn.ModuleList):
            yield from _called(part)
        else:
            yield part
