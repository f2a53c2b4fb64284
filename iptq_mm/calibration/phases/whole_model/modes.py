"""Modes of the whole-model analysis: floats that are kept, integers beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from ....functions import Constants, function_name
from ....intmath import QParams
from ....modes import Integer
from ....operations import NonLinear, Operation
from ....plan import RegionPlan
from ....qtensor import QTensor
from ...sampling import spread_rows
from ..analyse_mode import Analysing, Visit


class Seen(NamedTuple):
    """What a non-linear site sees in one call, as real values.

    Attributes:
        input: Sampled rows of its input, as the operation gets it.
        output: The same rows of its output.
        elements: Elements of the whole output.
    """

    input: Tensor
    output: Tensor
    elements: int


class Keeping(Analysing):
    """Floats; keeps what the non-linear sites see, and prepares their candidates.

    Attributes:
        seen: Of the running batch, by site and in the order of calls.
        prepared: Input quantizer and constants of each candidate, by site and name, as
            the last call needs them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: dict[str, list[Seen]] = {}
        self.prepared: dict[str, dict[str, tuple[QParams, Constants]]] = {}

    def _try_all(self, visit: Visit) -> None:
        """Nothing is tried yet: the sites run in integers later."""
        real = self._channels_shifted(visit.site, visit.x).payload
        seen = Seen(real, visit.value, visit.elements)
        self.seen.setdefault(visit.site, []).append(seen)
        kept = self.prepared.setdefault(visit.site, {})
        for name, function in self.candidates[visit.operation.kind].items():
            made = self._made(visit, name, function)
            if made is None:
                kept.pop(name, None)
            else:
                kept[name] = made


#: Called with a site, the name of its function, and what it sees.
OnVisit = Callable[[str, str, Seen], None]


class Uniform(Integer):
    """Integers, although the module keeps its float parameters.

    Args:
        plan: The region's plan.
        integers: Its parameters in integers, by name.
        on_visit: Called at every non-linear site. The input is the one that arrives,
            before the site narrows it for its function.
    """

    def __init__(
        self, plan: RegionPlan, integers: Mapping[str, nn.Parameter], on_visit: OnVisit
    ) -> None:
        super().__init__(plan)
        self.integers, self.on_visit = integers, on_visit

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """The integers in the place of a float parameter."""
        return super().parameter(name, self.integers[name])

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        result = super().run(operation, inputs, attributes)
        if isinstance(operation, NonLinear):
            site, x = result.source, inputs[0]
            assert x is not None
            (arrived,) = self.operands(site, [self._sample(x)])
            assert arrived is not None
            output = self._sample(result).real_values()
            seen = Seen(arrived.real_values(), output, result.payload.numel())
            chosen = function_name(self.plan.sites[site].function or {})
            self.on_visit(site, chosen, seen)
        return result

    def _sample(self, x: QTensor) -> QTensor:
        return QTensor(spread_rows(x.payload, self.images), x.qparams, x.source)
