"""What to say where a checkpoint is missing."""

from __future__ import annotations

from pathlib import Path

from .metafiles import PublicCheckpoint, public_checkpoints


def how_to_get(load_from: str, config: str | None = None) -> str:
    """The command that fetches a checkpoint, and what it does.

    Args:
        load_from: Where the config looks for it.
        config: The config's file: its name is taken for the command if the metafiles
            have it.

    Returns:
        The end of a sentence; empty if the checkpoint is no public one.
    """
    for one in public_checkpoints():
        if one.is_meant_by(load_from):
            converts = ' and converts it' if one.converter else ''
            return (
                f"'python tools/get_checkpoint.py {_name(one, config)}' fetches it"
                f'{converts} (from {one.url})'
            )
    return ''


def _name(one: PublicCheckpoint, config: str | None) -> str:
    stem = Path(config or '').stem
    return stem if stem in dict(one.configs) else one.main_config[0]
