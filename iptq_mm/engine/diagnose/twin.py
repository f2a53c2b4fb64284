"""The float model as it was when its parameters became integers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from torch import Tensor, nn

from ...calibration import ConfigError
from ...kept_float import quantized_parameters
from ...modes import Integer, regions_in
from ...plan import RegionPlan
from ..calibration_data import build_calibration_dataloader
from ..loading.models import build_model, load_quantized
from ..quantize.hook import STATE_FILE
from ..quantize.model import started
from ..quantize.phases import PHASES
from ..quantize.settings import read_settings


class Twins(NamedTuple):
    """A float model beside the integers that were made of it.

    Attributes:
        model: The float model, with pixels as input and equalized as they are.
        plans: By region, those of the integer model.
        integers: By region and name, the real values of its integer parameters.
        forward: Runs the float model on a batch.
    """

    model: nn.Module
    plans: dict[str, RegionPlan]
    integers: dict[str, dict[str, Tensor]]
    forward: Any


def twins_of(cfg: Config, work_dir: Path) -> Twins:
    """Make them from what a run left.

    Equalization is done again with the ranges that the run kept, so that nothing is
    calibrated and nothing in the work dir changes.

    Args:
        cfg: The whole config of the run.
        work_dir: Its work dir.

    Raises:
        ConfigError: If config, checkpoint and work dir do not belong together.
        FileNotFoundError: If a file is missing.
    """
    integer = load_quantized(work_dir / 'integer.py')[1]
    plans, integers = {}, {}
    for name, region in regions_in(integer).items():
        mode = region.mode
        assert isinstance(mode, Integer)
        plans[name] = mode.plan
        parameters = quantized_parameters(integer.get_submodule(name))
        integers[name] = {n: mode.parameter(n, p).real_values() for n, p in parameters}
    model = build_model(cfg)
    settings = read_settings(cfg)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    loader = build_calibration_dataloader(cfg, settings, seed)
    sources = [cfg.get(f'{split}_dataloader') for split in ('train', 'test')]
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / STATE_FILE
        if (work_dir / STATE_FILE).is_file():
            shutil.copy(work_dir / STATE_FILE, state)
        run = started(
            model, settings, loader, state, True, repr((seed, sources)), seed=seed
        )
        (equalize,) = [phase for phase in PHASES if phase.name == 'equalize']
        equalize.do(run)
    for name in plans:
        try:
            model.get_submodule(name)
        except AttributeError:
            raise ConfigError(
                f"the model of the config has no part '{name}', which is quantized in "
                f'{work_dir}: name the config that was quantized (--config)'
            ) from None
    return Twins(model, plans, integers, run.forward)
