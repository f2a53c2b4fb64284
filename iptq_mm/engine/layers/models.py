"""A float model and the integer models that were made of it, on the same images."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from torch import nn

from ...calibration import ConfigError
from ...modes import Integer, regions_in
from ...program import use_backend
from ..calibration_data import build_calibration_dataloader, explained
from ..loading.models import build_model, load_quantized, read_config
from ..quantize.progress import progress_of
from ..quantize.settings import read_settings
from .comparing import Taking, compare_on
from .work_dirs import file_in, names_of

#: Which images of a config are looked at.
SPLITS = ('test', 'calibration')


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
            take: See :func:`~.comparing.compare_on`.

        Raises:
            ConfigError: If a site has values of another shape in the float model.
        """
        for batch in progress_of(batches, 'layers', len(batches)):
            compare_on(batch, self._float, self._integers, sites, take)

    def _check(self, name: str, model: nn.Module) -> None:
        for region in regions_in(model):
            try:
                self._float.get_submodule(region)
            except AttributeError:
                raise ConfigError(
                    f"the model of the config has no part '{region}', which is "
                    f'quantized in {name}: name the config that was quantized'
                ) from None


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
