"""The config of a setting: a config file, with the changes of the setting."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.config import DELETE_KEY

from ...calibration import ConfigError
from ...version import __version__
from ..loading.models import read_config

#: Says where results lie, not what they are; the checkpoint counts by its content.
_PLACES = ('work_dir', 'load_from', 'launcher')


class Configs:
    """Makes the configs of settings; files that many settings share are read once.

    Args:
        base: Config of the settings that name none.
        checkpoint: Float checkpoint of the settings that name none; None: that of
            their configs.
        options: Of all settings, by dotted key.
    """

    def __init__(
        self, base: str | None, checkpoint: str | None, options: Mapping[str, Any]
    ) -> None:
        self._base = base
        self._checkpoint = checkpoint
        self._options = options
        self._configs: dict[str, Config] = {}
        self._digests: dict[str, str] = {}

    def path(self, given: Mapping[str, Any]) -> str:
        """The file that a setting changes.

        Raises:
            ConfigError: If there is none.
        """
        path = given.get('config') or self._base
        if not path:
            raise ConfigError('it has no config: name one, or base for all settings')
        return path

    def merged(self, given: Mapping[str, Any]) -> Config:
        """The whole config of a setting.

        Args:
            given: The setting, as the list has it.

        Raises:
            ConfigError: If an option, the seed or the candidates are not possible.
            FileNotFoundError: If a config is missing.
        """
        path = self.path(given)
        cfg = copy.deepcopy(self._config(path))
        options = copy.deepcopy({**self._options, **(given.get('options') or {})})
        for key in options:
            if key.partition('.')[0] not in cfg:
                raise ConfigError(
                    f'{path} has nothing called {key!r}; there are {sorted(cfg.keys())}'
                )
        # mmengine leaves this mark in the config where there is nothing to delete.
        cfg.merge_from_dict(
            {
                key: {DELETE_KEY: True}
                for key, value in options.items()
                if isinstance(value, Mapping) and value.get(DELETE_KEY)
            }
        )
        cfg.merge_from_dict(options)
        if given.get('candidates'):
            cfg.candidates = self._candidates(given['candidates'])
            cfg.quantization.pop('candidates', None)
        randomness = {'seed': None, **(cfg.get('randomness') or {})}
        seed = given.get('seed', randomness['seed'])
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ConfigError(f'seed={seed!r} is no integer')
        cfg.randomness = {**randomness, 'seed': seed or 0}
        cfg.load_from = (
            given.get('checkpoint') or self._checkpoint or cfg.get('load_from')
        )
        return cfg

    def _config(self, path: str) -> Config:
        if path not in self._configs:
            self._configs[path] = read_config(path)
        return self._configs[path]

    def _candidates(self, given: Any) -> dict[str, Any]:
        if not isinstance(given, str):
            return copy.deepcopy(given)
        cfg = self._config(given)
        candidates = cfg.get('candidates') or (cfg.get('quantization') or {}).get(
            'candidates'
        )
        if not candidates:
            raise ConfigError(f'{given} has no candidates')
        return candidates.to_dict()

    def key(self, cfg: Config) -> str:
        """Digest of a config, its checkpoint's content and the version."""
        plain = {k: v for k, v in cfg.to_dict().items() if k not in _PLACES}
        text = Config(plain, format_python_code=False).pretty_text
        content = self._digest(cfg.load_from)
        return hashlib.sha256(
            json.dumps([text, content, __version__]).encode()
        ).hexdigest()

    def _digest(self, checkpoint: str | None) -> str | None:
        """Digest of a file's content; of one that is not here, its address."""
        if not checkpoint or not Path(checkpoint).is_file():
            return checkpoint
        if checkpoint not in self._digests:
            content = Path(checkpoint).read_bytes()
            self._digests[checkpoint] = hashlib.sha256(content).hexdigest()
        return self._digests[checkpoint]
