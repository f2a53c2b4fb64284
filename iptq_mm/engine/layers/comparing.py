"""One batch through a float model and integer models, compared site by site."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from ...calibration import ConfigError
from ...calibration.evaluating import evaluating
from ...modes import Integer, regions_in
from ...modes.binding import running
from .watching import (
    Seen,
    WatchedFloats,
    WatchedIntegers,
    Watcher,
    restored,
    sampled,
)

#: Called with the name of an integer model, ``region:site``, and samples of what the
#: integers are there and of what the floats are.
Taking = Callable[[str, str, Seen, Seen], None]


def compare_on(
    batch: Any,
    float_model: nn.Module,
    integers: Mapping[str, nn.Module],
    sites: Collection[str],
    take: Taking,
    refuse: bool = True,
) -> None:
    """Run models on a batch, and look at sites.

    Args:
        batch: A batch.
        float_model: The float model.
        integers: Integer models that were made of it, by name.
        sites: ``region:site`` of those to look at.
        take: See :data:`Taking`. Integers are as without equalization, see
            :func:`~.watching.restored`.
        refuse: Whether a site of another shape is an error; else it is left out.

    Raises:
        ConfigError: If a site has values of another shape in the float model.
    """
    real = _floats(float_model, batch, sites)
    for name, model in integers.items():
        _watch_integers(model, batch, _Comparison(name, real, take, refuse))


def _floats(
    model: nn.Module, batch: Any, sites: Collection[str]
) -> dict[str, list[Seen]]:
    seen: dict[str, list[Seen]] = {site: [] for site in sites}

    def watch(site: str, found: Seen) -> None:
        if site in seen:
            seen[site].append(sampled(found))

    regions = dict.fromkeys(site.partition(':')[0] for site in sites)
    with running(model, {r: WatchedFloats(_of(r, watch)) for r in regions}):
        _run(model, batch)
    return seen


class _Comparison:
    """Compares the sites of an integer model with those of the float one.

    Args:
        name: Of the integer model.
        real: What the floats are, by site and call.
        take: See :data:`Taking`.
        refuse: Whether another shape is an error.
    """

    def __init__(
        self, name: str, real: dict[str, list[Seen]], take: Taking, refuse: bool
    ) -> None:
        self._name, self._take, self._refuse = name, take, refuse
        self._left = {site: iter(calls) for site, calls in real.items()}

    def __call__(self, site: str, found: Seen) -> None:
        """Compare the next call of a site."""
        exact = next(self._left.get(site, iter(())), None)
        if exact is None:
            return
        found = sampled(restored(found, exact))
        if found.result.shape == exact.result.shape:
            self._take(self._name, site, found, exact)
        elif self._refuse:
            raise ConfigError(
                f"'{site}' has another shape in the float model than in {self._name}: "
                'name the config that was quantized'
            )


def _watch_integers(model: nn.Module, batch: Any, watch: Watcher) -> None:
    regions, modes = regions_in(model), dict[str, Integer]()
    try:
        for name, region in regions.items():
            assert isinstance(region.mode, Integer)
            modes[name] = region.mode
            region.mode = WatchedIntegers(region.mode, _of(name, watch))
        _run(model, batch)
    finally:
        for name, mode in modes.items():
            regions[name].mode = mode


@contextmanager
def operation_by_operation(model: nn.Module) -> Iterator[None]:
    """Let no back end run the regions of a model while the block runs."""
    regions = regions_in(model).values()
    sessions = [(region, region.session) for region in regions]
    try:
        for region, _ in sessions:
            region.session = None
        yield
    finally:
        for region, session in sessions:
            region.session = session


def _of(region: str, watch: Watcher) -> Watcher:
    """A watcher of the sites of one region, for a watcher of all."""
    return lambda site, found: watch(f'{region}:{site}', found)


def _run(model: Any, batch: Any) -> None:
    with evaluating(model):
        # Detectors write their predictions into the samples of the batch.
        model.test_step(copy.deepcopy(batch))
