"""Errors of an integer model, site by site, on a few images at the end of a run."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...modes import Integer, regions_in
from ...operations import OPERATIONS, NonLinear
from ...utils.decibels import decibels
from ..layers.comparing import compare_on, operation_by_operation
from ..layers.watching import Seen
from .histograms import BINS

#: Images that are looked at, if there is time.
IMAGES = 16
#: Equalizers that give channels of values other scales than the float model has.
RESCALING = ('attention', 'power_of_two')
#: The best scale of a channel says something if it has so many values at least: of one
#: value there is always one that fits.
_LEAST_VALUES = 8


class SiteErrors:
    """Sums over images of one site.

    Attributes:
        sources: What made its operands.

    Args:
        rescaled: Whether the integer model may have another scale in each channel: the
            error is then that of the best scale of each.
    """

    def __init__(self, rescaled: bool) -> None:
        self._rescaled = rescaled
        self._signal = self._error = 0.0
        self._input = [0.0, 0.0]
        self._own_input = False
        self.sources: tuple[str, ...] = ()
        self._channels: Tensor | None = None
        self._values = 0
        self._ends: tuple[float, float] | None = None
        self._counts = torch.zeros(2, BINS, dtype=torch.float64)
        self._reach: Tensor | None = None

    def add(self, integer: Seen, real: Seen) -> None:
        """Add one call."""
        x, q = (s.result.cpu().double().flatten() for s in (real, integer))
        if not x.numel():
            return
        self.sources = integer.sources
        self._signal += float(x.square().sum())
        self._error += float((x - q).square().sum())
        if self._rescaled and real.channels is not None:
            self._values += x.numel()
            self._add_channels(x, q, real.channels)
        else:
            self._count(x, q)
        if integer.channels is not None:
            self._see_reach(integer.result.cpu().double().flatten(), integer.channels)
        same = real.operand.shape == integer.operand.shape
        if isinstance(OPERATIONS[real.kind], NonLinear) and same:
            self._own_input = True
            a, b = real.operand.double(), integer.operand.double()
            self._input[0] += float(a.square().sum())
            self._input[1] += float((a - b).square().sum())

    def _add_channels(self, x: Tensor, q: Tensor, channels: Tensor) -> None:
        size = int(channels.max()) + 1
        sums = torch.zeros(3, size, dtype=torch.float64)
        for row, values in zip(sums, (x * x, x * q, q * q), strict=True):
            row.index_add_(0, channels, values)
        if self._channels is None:
            self._channels = torch.zeros_like(sums)
        if self._channels.shape == sums.shape:
            self._channels += sums

    def _see_reach(self, q: Tensor, channels: Tensor) -> None:
        """Note how far each channel of the integer model reaches."""
        reach = torch.zeros(int(channels.max()) + 1, dtype=torch.float64)
        reach.index_reduce_(0, channels, q.abs(), 'amax')
        if self._reach is None:
            self._reach = reach
        elif self._reach.shape == reach.shape:
            self._reach = torch.maximum(self._reach, reach)

    def _outlier(self) -> dict[str, Any]:
        """The channel that reaches farthest, beside the median one."""
        if self._reach is None or len(self._reach) < 3:
            return {}
        middle = float(self._reach.median())
        if middle <= 0:
            return {}
        ratio = round(float(self._reach.max()) / middle, 1)
        return {'outlier': ratio, 'outlier_channel': int(self._reach.argmax())}

    def _count(self, x: Tensor, q: Tensor) -> None:
        if self._ends is None:
            low, high = float(x.min()), float(x.max())
            self._ends = low, (high if high > low else low + 1.0)
        low, high = self._ends
        for row, values in zip(self._counts, (x, q), strict=True):
            index = ((values - low) / (high - low) * BINS).long().clamp_(0, BINS - 1)
            row += torch.bincount(index, minlength=BINS)

    def plain(self) -> dict[str, Any]:
        """Its figures; of an input whose error is not known, None."""
        error = self._error
        channels = self._channels
        if channels is not None and self._values >= _LEAST_VALUES * channels.shape[1]:
            xx, xq, qq = channels
            fitted = torch.where(qq > 0, xq.square() / qq.clamp_min(1e-300), 0.0)
            error = float((xx - fitted).clamp_min(0).sum())
        found: dict[str, Any] = {
            'sqnr_db': round(decibels(self._signal, error), 2),
            'input_sqnr_db': round(decibels(*self._input), 2)
            if self._own_input
            else None,
            'sources': list(self.sources),
            **self._outlier(),
        }
        if self._ends is not None:
            low, high = self._ends
            floats, integers = (row.long().tolist() for row in self._counts)
            found |= {'low': low, 'high': high, 'float': floats, 'integer': integers}
        return found


def measure_sites(
    float_model: nn.Module,
    model: nn.Module,
    batches: Iterator[Any],
    regions: Collection[str],
    rescaling: bool,
    seconds: float,
    pixels: bool = False,
) -> dict[str, Any]:
    """Compare an integer model with its float one, site by site.

    Args:
        float_model: The float model.
        model: The integer model.
        batches: Of one image each; as many are taken as there is time for, at least
            one.
        regions: Regions to look at.
        rescaling: Whether equalization gave values other scales by channel.
        seconds: Time for it.
        pixels: Whether the integer model takes pixels, which the float one does not.

    Returns:
        ``images``, how many; ``sites``, by ``region:site`` in the order of execution
        ``sqnr_db`` and ``input_sqnr_db`` in the whole model, two histograms, the
        ``sources`` of its operands, and how far the farthest channel reaches beside the
        median one; ``inputs``, by region ``mean`` and ``std`` of what enters it.
    """
    kinds = _kinds(model, regions)
    errors: dict[str, SiteErrors] = {}

    entered: dict[str, list[Tensor]] = {}

    def take(_: str, site: str, integer: Seen, real: Seen) -> None:
        if integer.sources[:1] == ('input:0',):
            values = entered.setdefault(site.partition(':')[0], [])
            values.append((integer if pixels else real).operand.double().flatten())
        if site not in errors:
            fixed = real.kind in ('layer_norm', 'softmax', 'gelu')
            errors[site] = SiteErrors(rescaling and not fixed)
        errors[site].add(integer, real)

    began, images = time.perf_counter(), 0
    with torch.no_grad(), operation_by_operation(model):
        for batch in batches:
            compare_on(batch, float_model, {'': model}, kinds, take, refuse=False)
            images += 1
            spent = time.perf_counter() - began
            if spent + spent / images > seconds:  # the next one would take too long
                break
    found = {site: errors[site].plain() for site in kinds if site in errors}
    for site, figures in found.items():
        if figures['input_sqnr_db'] is None:
            figures['input_sqnr_db'] = _worst(site, errors[site].sources, found)
    inputs = {name: torch.cat(values) for name, values in entered.items()}
    return {
        'images': images,
        'sites': found,
        'inputs': {
            name: {'mean': float(x.mean()), 'std': float(x.std(correction=0))}
            for name, x in inputs.items()
        },
    }


def _kinds(model: nn.Module, regions: Collection[str]) -> dict[str, str]:
    kinds = {}
    for name, region in regions_in(model).items():
        assert isinstance(region.mode, Integer)
        if name in regions:
            for site, plan in region.mode.plan.sites.items():
                kinds[f'{name}:{site}'] = plan.operation
    return kinds


def _worst(
    site: str, sources: Collection[str], found: Mapping[str, dict[str, Any]]
) -> float | None:
    """The error of the worst operand of a site that is the result of a site."""
    region = site.partition(':')[0]
    names = (f'{region}:{source}' for source in sources)
    return min((found[n]['sqnr_db'] for n in names if n in found), default=None)
