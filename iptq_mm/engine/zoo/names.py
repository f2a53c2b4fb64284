"""From the name of a model, config or checkpoint to the public checkpoint."""

from __future__ import annotations

import difflib
from pathlib import Path

from mmengine.config import Config

from ...calibration import ConfigError
from .metafiles import MIM, PublicCheckpoint, public_checkpoints


class UnknownNameError(ConfigError):
    """No checkpoint has the name; the message has names like it."""


def find(name: str) -> PublicCheckpoint:
    """The checkpoint that a name means.

    Args:
        name: Name of a model in the metafiles, of a checkpoint, or of a config (a
            file, or one of the shipped by its name alone).

    Raises:
        UnknownNameError: If it means none.
    """
    known = public_checkpoints()
    stem = Path(name).name.removesuffix('.py').removesuffix('.pth')
    for one in known:
        if stem in (one.name, Path(one.file_name).stem, *dict(one.configs)):
            return one
    config = _config(name, stem)
    if config is None:
        raise UnknownNameError(f"there is no checkpoint '{name}'{_like(stem)}")
    load_from = Config.fromfile(config).get('load_from')
    for one in known:
        if load_from and one.is_meant_by(load_from):
            return one
    raise UnknownNameError(
        f'{name} takes its weights from {load_from}, which is no public checkpoint: '
        '--list shows all'
    )


def _config(name: str, stem: str) -> Path | None:
    if name.endswith('.py') and Path(name).is_file():
        return Path(name)
    return next((MIM / 'configs').resolve().rglob(f'{stem}.py'), None)


def _like(stem: str) -> str:
    """The beginning of a message about names like one."""
    names = {n for one in public_checkpoints() for n in (one.name, *dict(one.configs))}
    names |= {p.stem for p in (MIM / 'configs').resolve().glob('*.py')}
    near = difflib.get_close_matches(stem, sorted(names), n=4, cutoff=0.5)
    said = f': did you mean {", ".join(near)}?' if near else ';'
    return f'{said} --list shows all'
