"""The presets, which are those of the configs of mm's models."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ...calibration import ConfigError, QuantizationConfig
from ..zoo.metafiles import MIM

#: Where the presets are.
FOLDER = MIM / 'configs' / '_base_' / 'quantization'


def preset_settings(
    preset: str, regions: list[str], batch_size: int, given: Mapping[str, Any] | None
) -> QuantizationConfig:
    """The checked settings of a preset.

    Args:
        preset: Name of a file in ``configs/_base_/quantization``.
        regions: What to quantize.
        batch_size: Samples of a batch.
        given: Settings in the place of those of the preset, as a config that inherits
            it would have them.

    Raises:
        ConfigError: If there is no such preset, or a setting is wrong.
    """
    path = FOLDER / f'{preset}.py'
    known = sorted(p.stem for p in FOLDER.glob('*.py'))
    if preset not in known:
        raise ConfigError(f"no preset '{preset}': there are {known}")
    cfg = Config.fromfile(str(path))
    # Pixels are what an mm data preprocessor normalizes; here, inputs are the user's.
    cfg.merge_from_dict({'quantization': {'pixels': False}})
    if given:
        # Merging takes marks (_delete_) out of what it is given.
        cfg.merge_from_dict({'quantization': copy.deepcopy(dict(given))})
    own: dict[str, Any] = {
        'regions': regions,
        'calibration': {'batch_size': max(1, batch_size)},
    }
    cfg.merge_from_dict({'quantization': own})
    made = QuantizationConfig.from_dict(cfg.quantization, cfg.get('candidates'))
    for name in ('dataloader', 'mirrored'):
        if getattr(made.calibration, name):
            raise ConfigError(
                f'calibration.{name} is for configs; here `batches` calibrate as they '
                'are: give those that are wanted'
            )
    return made
