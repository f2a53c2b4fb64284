"""Lists of settings for a sweep: reading and checking them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...calibration import ConfigError, QuantizationConfig
from ..run.checks import check_config
from .configs import Configs
from .grid import expanded

FILE_KEYS = (
    'title',
    'notes',
    'metrics',
    'base',
    'checkpoint',
    'options',
    'settings',
    'grid',
)
SETTING_KEYS = ('name', 'config', 'checkpoint', 'seed', 'candidates', 'options')


@dataclass(frozen=True)
class Setting:
    """A setting, which gives one row of the table.

    Attributes:
        name: Name of the row.
        cfg: The whole config, merged.
        quantization: Its quantization settings, checked.
        key: Digest of the config, the checkpoint's content and the version.
    """

    name: str
    cfg: Config
    quantization: QuantizationConfig
    key: str

    @property
    def slug(self) -> str:
        """The name as a file may have it."""
        return slug(self.name)

    @property
    def bits(self) -> str:
        """Bits of weights and activations, as the papers write them."""
        return f'W{self.quantization.weight.bits}A{self.quantization.activation.bits}'

    @property
    def seed(self) -> int:
        """Decides on the calibration images."""
        return self.cfg.randomness['seed']

    @property
    def images(self) -> int:
        """How many calibration images it asks for."""
        return self.quantization.calibration.num_images


@dataclass(frozen=True)
class SettingList:
    """The contents of a file of settings.

    Attributes:
        title: Heading of the table.
        notes: Text above the table.
        metrics: Metrics that the Markdown table shows; empty: the usual ones.
        settings: In the order of the rows.
    """

    title: str
    notes: str
    metrics: list[str]
    settings: list[Setting]


def load_settings(
    path: str | os.PathLike, checkpoint: str | None = None
) -> SettingList:
    """Read a file of settings and check all of them.

    The file is an mm-style config. ``base`` is the config of a setting that names
    none. ``settings`` lists dicts with a ``name`` and, as wanted, ``config``,
    ``checkpoint``, ``seed``, ``candidates`` (a dict in the place of the config's, or a
    config file that holds one) and ``options`` (by dotted key). ``grid`` is a dict
    of axes, or a list of such dicts, whose product is run: by dotted key, ``seed``,
    ``config`` or ``candidates``, a list of values, or a dict of values by name.
    ``options`` beside them are those of all settings. Variables whose names begin
    with ``_`` are the file's own.

    Args:
        path: The file.
        checkpoint: Float checkpoint of the settings that name none; None: the
            file's ``checkpoint``, or ``load_from`` of the configs.

    Raises:
        ConfigError: If a setting is not possible; names it.
        FileNotFoundError: If the file, a config or a checkpoint is missing.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no list of settings {path}')
    given = Config.fromfile(path).to_dict()
    given = {k: v for k, v in given.items() if not k.startswith('_')}
    _check_keys(given, FILE_KEYS, str(path))
    rows = [*(given.get('settings') or []), *expanded(given.get('grid') or [])]
    if not rows:
        raise ConfigError(f'{path} has no settings and no grid: there is nothing to do')
    checkpoint = checkpoint or given.get('checkpoint')
    configs = Configs(given.get('base'), checkpoint, given.get('options') or {})
    settings = [
        _setting(row, configs, f'{path}: setting {i}') for i, row in enumerate(rows)
    ]
    _check_names(settings)
    return SettingList(
        str(given.get('title') or Path(path).stem),
        str(given.get('notes') or '').strip(),
        list(given.get('metrics') or []),
        settings,
    )


def slug(name: str) -> str:
    """A name as a file may have it."""
    return re.sub(r'[^\w.=+-]+', '-', name).strip('-.').lower()


def _check_names(settings: list[Setting]) -> None:
    seen: dict[str, str] = {}
    for setting in settings:
        if not setting.slug or setting.slug in seen:
            raise ConfigError(
                f'two settings are called {setting.name!r} and '
                f'{seen.get(setting.slug, "")!r}: give them names that differ in '
                'letters and digits'
            )
        seen[setting.slug] = setting.name


def _check_keys(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            raise ConfigError(f'{where} has no key {key!r}; known are {list(known)}')


def _setting(given: Any, configs: Configs, where: str) -> Setting:
    """A setting, checked."""
    if not isinstance(given, Mapping):
        raise ConfigError(f'{where} is a dict, not {given!r}')
    _check_keys(given, SETTING_KEYS, where)
    name = given.get('name')
    if not isinstance(name, str):
        raise ConfigError(f'{where} has no name: write name=...')
    try:
        cfg = configs.merged(given)
        quantization = check_config(cfg, configs.path(given))
    except (ConfigError, OSError) as error:
        raise type(error)(f"setting '{name}': {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"setting '{name}': {error}") from error
    return Setting(name, cfg, quantization, configs.key(cfg))
