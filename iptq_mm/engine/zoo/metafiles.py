"""The float checkpoints that the metafiles name."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import torch
import yaml

#: Where mim looks for tools, configs and metafiles of a package.
MIM = Path(__file__).resolve().parents[2] / '.mim'

#: Names of files that say nothing; on the model hub they lie in a folder that does.
_NAMELESS = ('model', 'pytorch_model')


@dataclass(frozen=True)
class PublicCheckpoint:
    """A float checkpoint, as a metafile describes it.

    Attributes:
        url: Where its publisher has it.
        sha256: The beginning of its SHA-256, as far as it is known (publishers put
            the first digits into the name); empty if it is not.
        converter: Name in
            :data:`~iptq_mm.models.converters.CONVERTERS`; empty if mm loads the file
            as it is.
        target: Where configs look for it (their ``load_from``); empty if they name
            the address.
        configs: Configs of the models that are made from it, by name.
    """

    url: str
    sha256: str = ''
    converter: str = ''
    target: str = ''
    configs: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What the checkpoint is called, without its suffix."""
        return Path(self.target or self.file_name).stem

    @property
    def file_name(self) -> str:
        """What the public file is called here."""
        return file_name(self.url)

    @property
    def main_config(self) -> tuple[str, str]:
        """Name and config of the plainest model that is made from it."""
        return min(self.configs, key=lambda item: len(item[1]))

    def path(self, folder: str | None = None) -> Path:
        """Where the checkpoint belongs.

        Args:
            folder: Where the user wants it; None: where its configs look for it. For
                an address, mmengine looks into torch's folder of downloads.
        """
        if folder is not None:
            return Path(folder) / Path(self.target or self.file_name).name
        if self.target:
            return Path(self.target)
        return Path(torch.hub.get_dir()) / 'checkpoints' / self.file_name

    def is_meant_by(self, load_from: str) -> bool:
        """Whether a config with this ``load_from`` wants it."""
        if '://' in load_from:
            return load_from == self.url
        return bool(self.target) and Path(load_from) == Path(self.target)


def file_name(url: str) -> str:
    """The name of a file from its address; that of its repository if it has none."""
    parts = unquote(urlparse(url).path).strip('/').split('/')
    name = Path(parts[-1])
    if name.stem in _NAMELESS and 'resolve' in parts[1:]:
        return parts[parts.index('resolve') - 1] + name.suffix
    return parts[-1]


@functools.cache
def public_checkpoints(
    index: Path = MIM / 'model-index.yml',
) -> tuple[PublicCheckpoint, ...]:
    """All checkpoints of the metafiles, in their order.

    Args:
        index: The file that lists the metafiles. Paths in it are relative to it.
    """
    found: dict[tuple[str, str], PublicCheckpoint] = {}
    for model in _models(index):
        about = (model.get('Metadata') or {}).get('Float Model') or {}
        one = PublicCheckpoint(
            url=model['Weights'],
            sha256=str(about.get('SHA256') or ''),
            converter=about.get('Converter') or '',
            target=about.get('Checkpoint') or '',
        )
        known = found.setdefault((one.url, one.target), one)
        configs = (*known.configs, (model['Name'], model['Config']))
        found[one.url, one.target] = replace(known, configs=configs)
    return tuple(found.values())


def _models(index: Path) -> Iterator[dict[str, Any]]:
    """The models of all metafiles that have weights to fetch."""
    for name in _read(index)['Import']:
        models = _read(index.parent / name)['Models']
        yield from (model for model in models if model.get('Weights'))


def _read(path: Path) -> Any:
    # The parser in C takes a tenth of the time.
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    return yaml.load(path.read_text(encoding='utf-8'), loader)
