"""The images of a search: some calibrate, others tell what few bits cost."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import replace
from typing import Any, NamedTuple, cast

from mmengine.logging import print_log
from torch.utils.data import DataLoader

from ...calibration import ConfigError, QuantizationConfig
from ..calibration_data import build_calibration_dataloader, build_held_out_dataloader
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
    half of them.

    Args:
        cfg: The whole config.
        settings: Its quantization.
        seed: Decides which images are taken.

    Raises:
        ConfigError: See :func:`build_calibration_dataloader`; or there is but one.
    """
    calibrating = build_calibration_dataloader(cfg, settings, seed)
    judging = build_held_out_dataloader(cfg, settings, seed, JUDGING)
    missing = JUDGING - _images(judging)
    if missing > 0:
        count = min(settings.calibration.num_images, _images(calibrating))
        fewer = max(-(-count // 2), count - missing)
        print_log(
            f'search: {fewer} of {count} images calibrate, the others judge', 'current'
        )
        calibration = replace(settings.calibration, num_images=fewer)
        settings = replace(settings, calibration=calibration)
        calibrating = build_calibration_dataloader(cfg, settings, seed)
        judging = build_held_out_dataloader(cfg, settings, seed, JUDGING)
    if judging is None:
        raise ConfigError(
            'a search needs two calibration images at least: one calibrates, another '
            'tells what few bits cost'
        )
    return SearchImages(settings, calibrating, judging)


def _images(loader: DataLoader | None) -> int:
    """How many images a loader has."""
    return 0 if loader is None else len(cast(Sized, loader.dataset))
