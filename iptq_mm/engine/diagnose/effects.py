"""What each site does to the outputs, when it alone is as in the integer model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...calibration.evaluating import evaluating
from ...modes.binding import running
from ...statistics import Statistics
from ...utils.decibels import decibels
from ...utils.trees import tree_leaves
from ..evaluate.output_comparison import comparable
from ..report.sensitivity import PARTS
from .one_site import OneSite
from .twin import Twins

#: An SQNR of so many dB: nothing was changed.
NOTHING = 200.0


@dataclass
class Effect:
    """The effect of one site.

    Attributes:
        site: ``region:site``.
        kind: Its operation.
        error: Squared error of the outputs over their squares.
        parts: The same for each part of the site by itself, where it was measured.
    """

    site: str
    kind: str
    error: float
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def output_db(self) -> float:
        """SQNR of the outputs, were all other sites float."""
        return decibels(1.0, self.error)

    def line(self) -> str:
        """Name, kind and figures, those of the parts where they were measured."""
        figures = [self.output_db, *(decibels(1.0, self.parts[p]) for p in self.parts)]
        shown = ''.join(f'{x:>9.1f}' if x < NOTHING else f'{"-":>9}' for x in figures)
        return f'  {self.site:<52} {self.kind:<11}{shown}'


class Effects:
    """Measures effects on a few images.

    Args:
        twins: The models.
        batches: Of the evaluation.

    Attributes:
        seen: Statistics of the float values, by region and site or input.
    """

    def __init__(self, twins: Twins, batches: Sequence[Any]) -> None:
        self._twins, self._batches = twins, batches
        self._modes = {
            name: OneSite(plan, twins.integers[name])
            for name, plan in twins.plans.items()
        }
        self.seen: dict[str, dict[str, Statistics]] = {name: {} for name in self._modes}
        self._exact: list[dict[str, list[Tensor]]] = []

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Let the float model run in these modes while the block runs."""
        with torch.no_grad(), running(self._twins.model, self._modes):
            for name, mode in self._modes.items():
                mode.seen = self.seen[name]
            self._exact = [self._run(batch) for batch in self._batches]
            for mode in self._modes.values():
                mode.seen = None
            yield

    def of(self, region: str, site: str, parts: Sequence[str] = PARTS) -> float:
        """Squared error of the outputs over their squares, this site alone.

        Args:
            region: Name of the region.
            site: The site in it.
            parts: What of it is as in the integer model.
        """
        mode = self._modes[region]
        mode.only, mode.parts = site, parts
        try:
            signal = error = 0.0
            for batch, exact in zip(self._batches, self._exact, strict=True):
                found = self._run(batch)
                # The last region that sees the same inputs in both, or its own.
                last = [n for n in found if comparable(n)] or [region]
                name = last[-1]
                for x, y in zip(exact.get(name, []), found.get(name, []), strict=False):
                    if x.shape == y.shape:
                        signal += float(x.double().square().sum())
                        error += float((x.double() - y).square().sum())
        finally:
            mode.only = ''
        return error / signal if signal else 0.0

    def _run(self, batch: Any) -> dict[str, list[Tensor]]:
        """Outputs of the regions, in the order in which they ran."""
        outputs: dict[str, list[Tensor]] = {}
        handles = []
        for name in self._modes:

            def keep(_: nn.Module, args: Any, made: Any, name: str = name) -> None:
                outputs.setdefault(name, []).extend(
                    x.detach().clone()
                    for x in tree_leaves(made)
                    if isinstance(x, Tensor) and x.is_floating_point()
                )

            module = self._twins.model.get_submodule(name)
            handles.append(module.register_forward_hook(keep))
        try:
            with evaluating(self._twins.model):
                self._twins.forward(copy.deepcopy(batch))
        finally:
            for handle in handles:
                handle.remove()
        return outputs
