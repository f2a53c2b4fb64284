"""The configs of this repository, each read once."""

import copy
import functools
import re
from pathlib import Path
from unittest import mock

from mmengine.config import Config, utils

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'

# For each config that inherits one of mmpretrain's, mmengine reads 85 files of YAML.
_read_once = functools.cache(utils.load)


@functools.cache
def _read(name: str) -> Config:
    with mock.patch.object(utils, 'load', _read_once):
        return Config.fromfile(CONFIGS / name)


def load(name: str) -> Config:
    """A config by its path in ``configs/``; a copy of its own."""
    return copy.deepcopy(_read(name))


def names(pattern: str) -> list[str]:
    """Paths in ``configs/`` that match, but for bases and lists of settings."""
    paths = (path.relative_to(CONFIGS) for path in CONFIGS.glob(pattern))
    return sorted(str(path) for path in paths if not path.parts[0].startswith('_'))


EVERY = names('**/*.py')
#: Those that lead to their new names.
OLD = [name for name in EVERY if '_deprecation_' in (CONFIGS / name).read_text()]
#: The pipelines of the papers.
PAPERS = [name for name in EVERY if name.startswith('papers/')]
#: Our quantizations, whose names tell the bits.
PRESETS = [
    name for name in EVERY if re.search(r'w\da\d', name) and name not in OLD + PAPERS
]
