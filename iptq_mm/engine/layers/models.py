"""A float model and the integer models that were made of it, on the same images."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch import nn

from ...calibration import ConfigError
from ...calibration.evaluating import evaluating
from ...modes import Integer, regions_in
from ...modes.binding import running
from ...program import use_backend
from ..calibration_data import build_calibration_dataloader, explained
from ..loading.models import build_model, load_quantized, read_config
from ..quantize.progress import progress_of
from ..quantize.settings import read_settings
from .watching import (
    Seen,
    WatchedFloats,
    WatchedIntegers,
    Watcher,
    restored,
    sampled,
)
from .work_dirs import file_in, names_of

#: Which images of a config are looked at.
SPLITS = ('test', 'calibration')
#: See :meth:`Models.compare`.
Taking = Callable[[str, str, Seen, Seen], None]


class Models:
    """A float model and integer models, image by image.

    Args:
        config: Config of the float model, such as the one that was quantized.
        work_dirs: Folders that ``tools/quantize.py`` wrote.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        cfg_options: Overrides of the config, by dotted key.

    Attributes:
        names: The integer models, by names that tell the folders apart.

    Raises:
        ConfigError: If a model is not quantized, or not of this float model.
        FileNotFoundError: If a file is missing.
    """

    def __init__(
        self,
        config: str | os.PathLike,
        work_dirs: Sequence[str | os.PathLike],
        checkpoint: str | None = None,
        cfg_options: dict[str, Any] | None = None,
    ) -> None:
        paths = {n: file_in(p, 'integer.py') for n, p in names_of(work_dirs).items()}
        self.cfg = read_config(config, checkpoint, cfg_options)
        self._float = build_model(self.cfg)
        self._integers: dict[str, nn.Module] = {}
        for name, path in paths.items():
            self._integers[name] = model = load_quantized(path)[1]
            use_backend(model, None)  # operation by operation, to see the sites
            self._check(name, model)
        self.names = list(paths)

    def sites(self) -> dict[str, str]:
        """Kinds of the operations by ``region:site``, of all models, as they run."""
        found: dict[str, str] = {}
        for model in self._integers.values():
            for name, region in regions_in(model).items():
                assert isinstance(region.mode, Integer)
                for site, plan in region.mode.plan.sites.items():
                    found.setdefault(f'{name}:{site}', plan.operation)
        return found

    def compare(
        self, batches: Sequence[Any], sites: Collection[str], take: Taking
    ) -> None:
        """Run all models on images, and look at sites.

        Args:
            batches: Of one image each.
            sites: ``region:site`` of those to look at.
            take: Called with the name of an integer model, ``region:site``, and samples
                of what the integers are there (as without equalization, see
                :func:`~.watching.restored`), and of what the floats are.

        Raises:
            ConfigError: If a site has values of another shape in the float model.
        """
        for batch in progress_of(batches, 'layers', len(batches)):
            real = self._floats(batch, sites)
            for name, model in self._integers.items():
                _watch_integers(model, batch, _Comparison(name, real, take))

    def _floats(self, batch: Any, sites: Collection[str]) -> dict[str, list[Seen]]:
        seen: dict[str, list[Seen]] = {site: [] for site in sites}

        def watch(site: str, found: Seen) -> None:
            if site in seen:
                seen[site].append(sampled(found))

        regions = dict.fromkeys(site.partition(':')[0] for site in sites)
        with running(self._float, {r: WatchedFloats(_of(r, watch)) for r in regions}):
            _run(self._float, batch)
        return seen

    def _check(self, name: str, model: nn.Module) -> None:
        for region in regions_in(model):
            try:
                self._float.get_submodule(region)
            except AttributeError:
                raise ConfigError(
                    f"the model of the config has no part '{region}', which is "
                    f'quantized in {name}: name the config that was quantized'
                ) from None


class _Comparison:
    """Compares the sites of an integer model with those of the float one.

    Args:
        name: Of the integer model.
        real: What the floats are, by site and call.
        take: See :meth:`Models.compare`.
    """

    def __init__(self, name: str, real: dict[str, list[Seen]], take: Taking) -> None:
        self._name, self._take = name, take
        self._left = {site: iter(calls) for site, calls in real.items()}

    def __call__(self, site: str, found: Seen) -> None:
        """Compare the next call of a site."""
        exact = next(self._left.get(site, iter(())), None)
        if exact is None:
            return
        found = sampled(restored(found, exact))
        if found.result.shape != exact.result.shape:
            raise ConfigError(
                f"'{site}' has another shape in the float model than in {self._name}: "
                'name the config that was quantized'
            )
        self._take(self._name, site, found, exact)


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


def _of(region: str, watch: Watcher) -> Watcher:
    """A watcher of the sites of one region, for a watcher of all."""
    return lambda site, found: watch(f'{region}:{site}', found)


def _run(model: Any, batch: Any) -> None:
    with evaluating(model):
        # Detectors write their predictions into the samples of the batch.
        model.test_step(copy.deepcopy(batch))


def images(cfg: Config, split: str, count: int) -> list[Any]:
    """Images of a config, evenly spread over a data set, in batches of one.

    Args:
        cfg: The whole config.
        split: ``test``: those of the evaluation; ``calibration``: those that its
            quantization calibrates on.
        count: How many at most.

    Raises:
        ConfigError: If there are none, or no such split.
    """
    if split not in SPLITS:
        raise ConfigError(f"split is one of {SPLITS}, not '{split}'")
    if count < 1:
        raise ConfigError(f'{count} images: there has to be one')
    if split == 'test':
        with explained('the evaluation images'):
            dataset = DATASETS.build(cfg.test_dataloader.dataset)
    else:
        seed = (cfg.get('randomness') or {}).get('seed') or 0
        loader = build_calibration_dataloader(cfg, read_settings(cfg), seed)
        dataset = loader.dataset
    count = min(count, len(dataset))
    return [pseudo_collate([dataset[i * len(dataset) // count]]) for i in range(count)]
