"""The mode that tries ranges for the inputs of the chosen functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ....functions import Constants
from ....intmath import QParams
from ....modes.base import operand_qparams
from ....operations import SiteInputs
from ....plan import RegionPlan
from ....qtensor import QTensor
from ....record import RegionRecord
from ....registry import FUNCTIONS
from ....utils.exact_sum import Sums, add_by_image
from ...backward import Saved
from ...planner import Planner
from ..analyse_mode import Analysing, Visit

#: Elements of an image that a site is looked at by: whole rows, evenly spread.
MAX_ELEMENTS = 2**13


class TryingRanges(Analysing):
    """Float values, on which sites try their function with several input ranges.

    Attributes:
        errors: By site, the squared error with the planned range and with each of
            ``shares``; infinite where the function cannot serve.

    Args:
        plan: Quantizers of all values, and the functions.
        record: Statistics of the values.
        planner: Makes quantizers for the region.
        shares: Magnitudes at which inputs are clipped, as shares of the largest one.
        draws: Passes backward for each batch; 0: the error is that of the site's own
            output, else that of the outputs of the region.
        saved: See the base class.
    """

    def __init__(
        self,
        plan: RegionPlan,
        record: RegionRecord,
        planner: Planner,
        shares: Sequence[float],
        draws: int = 0,
        saved: Saved | None = None,
    ) -> None:
        qparams = planner.qparams
        super().__init__(plan, {}, record, qparams, lambda *_: 0.0, draws, saved)
        self.errors: Sums = {}
        self._planner, self._shares = planner, shares
        self._functions = {
            site: FUNCTIONS.build(dict(p.function))
            for site, p in plan.sites.items()
            if p.function
        }
        self._made_for: dict[tuple[str, QParams], Constants | None] = {}

    @torch.no_grad()
    def _try_all(self, visit: Visit) -> None:
        """Add the errors of all ranges of a site."""
        length = visit.value.shape[-1]
        step = math.ceil(visit.value[0].numel() / max(MAX_ELEMENTS, length))
        x = visit.x.like(visit.x.payload[:, ::step].contiguous())
        part = Visit(
            visit.site,
            visit.operation,
            [x, *visit.inputs[1:]],
            visit.attributes,
            visit.value[:, ::step],
            visit.elements,
            [g[:, ::step] for g in visit.gradients],
        )
        found = [self._error(part, qparams) for qparams in self._quantizers(part)]
        add_by_image(self.errors, visit.site, found)

    def _quantizers(self, visit: Visit) -> list[QParams]:
        """The planned quantizer of the input as it arrives, and those to try."""
        x, source, sites = visit.x, visit.x.source, self.plan.sites
        made = self.plan.inputs.get(source) or sites[source].output
        planned = sites[visit.site].inputs.get(0, made)
        seen = self.record.values[source]
        largest = max(-seen.minimum, seen.maximum)
        wanted = [
            self._planner.limited(source, share * largest, planned.bits)
            for share in self._shares
        ]
        return [operand_qparams(x, w, self.plan) for w in (planned, *wanted)]

    def _error(self, visit: Visit, qparams: QParams) -> list[float]:
        """The squared error of each image with an input quantizer."""
        function = self._functions[visit.site]
        key = visit.site, qparams
        if key not in self._made_for:
            try:
                self._made_for[key] = self._constants_for(visit, qparams)
            except (ValueError, OverflowError):
                self._made_for[key] = None
        constants = self._made_for[key]
        if constants is None:
            return [math.inf] * self.images
        error = self.candidate(visit, function, qparams, constants) - visit.value
        if not visit.gradients:
            return error.square().flatten(1).sum(1, dtype=torch.float64).tolist()
        effects = [(error * g).flatten(1).sum(1) for g in visit.gradients]
        squares = torch.stack(effects).square()
        return squares.sum(0, dtype=torch.float64).tolist()

    def _constants_for(self, visit: Visit, qparams: QParams) -> Constants:
        x = self._channels_shifted(visit.site, QTensor(visit.x.payload, qparams))
        real = [None if i is None else i.payload for i in (x, *visit.inputs[1:])]
        terms = visit.operation.terms(real, visit.attributes)
        out = self.plan.sites[visit.site].output
        known = SiteInputs(real, [x.qparams], out, visit.attributes, terms)
        seen = self.record.values.get(visit.x.source)
        site = visit.operation.function_site(known, seen)
        return self._functions[visit.site].prepare(site)
