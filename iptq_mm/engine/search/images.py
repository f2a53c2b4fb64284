"""The images of a search: some calibrate, others tell what few bits cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from mmengine.logging import print_log
from torch.utils.data import DataLoader

from ...calibration import ConfigError, QuantizationConfig
from ..calibration_data import build_calibration_dataloader, build_judging_dataloader
from ..calibration_data.loader import CalibrationLoader

#: How many images tell what few bits cost.
JUDGING = 100


class SearchImages(NamedTuple):
    """The images of a search.

    Attributes:
        settings: Those of the config, with as many calibration images as there are.
        calibrating: Images that choose ranges, and by which weights are rounded.
        judging: Images that do neither. To those by which weights were rounded, few
            bits seem to cost less than they do, the more so the fewer they are.
    """

    settings: QuantizationConfig
    calibrating: CalibrationLoader
    judging: DataLoader


def search_images(
    cfg: Mapping[str, Any], settings: QuantizationConfig, seed: int
) -> SearchImages:
    """Choose the images of a search, none of them any of the evaluation.

    Where the calibration data have no other images left, fewer calibrate, but at least
    half of them. Those of a guarantee do neither.

    Args:
        cfg: The whole config.
        settings: Its quantization.
        seed: Decides which images are taken.

    Raises:
        ConfigError: See :func:`build_calibration_dataloader`; or there is but one.
    """
    judging, count = build_judging_dataloader(cfg, settings, seed, JUDGING)
    if judging is None:
        raise ConfigError(
            'a search needs two calibration images at least: one calibrates, another '
            'tells what few bits cost'
        )
    if count < settings.calibration.num_images:
        print_log(f'search: {count} images calibrate, others judge', 'current')
        calibration = replace(settings.calibration, num_images=count)
        settings = replace(settings, calibration=calibration)
    calibrating = build_calibration_dataloader(cfg, settings, seed)
    return SearchImages(settings, calibrating, judging)
