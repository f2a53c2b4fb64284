"""Which image a sample is, without reading it."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset

from .wrappers import leaves, located

#: Where samples keep an image that is in memory.
_IN_MEMORY = ('img', 'img_bytes', 'image')
#: Files under names of a dataset's own are taken for images if they end so.
_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class Identity:
    """The identity of the image (or images) of a sample.

    Attributes:
        name: For messages.
        stored: What tells where it is stored from any other place: device, inode and
            so on of a file, whatever path leads there; address and storage of a
            remote one. Empty if that is not known.
        digest: Of an image in memory; empty if there is none.
        files: Paths and sizes of local files.
    """

    name: str
    stored: tuple[Hashable, ...] = ()
    digest: bytes = b''
    files: tuple[tuple[str, int], ...] = field(default=(), compare=False)

    @property
    def known(self) -> bool:
        """Whether anything tells it from others."""
        return bool(self.stored or self.digest)


def identified(dataset: Any, index: int) -> Identity:
    """The identity of one image of a dataset. Costs microseconds, decodes nothing."""
    holder, position = located(dataset, index)
    kind = type(next(leaves(holder))).__name__
    try:
        info = _annotation(holder, position)
    except Exception:  # a dataset of a kind of its own
        return Identity(f'number {index} of {kind}')
    return _of_files(holder, info) or Identity(
        f'number {position} of {kind}', digest=_digest(info)
    )


def name_of(info: Any) -> str:
    """The path in an annotation, or what else tells it from others."""
    if not isinstance(info, Mapping):
        return 'without a name'
    named = ', '.join(_paths(info))
    return named or f'number {info.get("sample_idx", "?")}'


def _annotation(dataset: Any, index: int) -> Mapping[str, Any]:
    if isinstance(dataset, BaseDataset):
        try:
            # A subclass may make or read the image itself in its own.
            return BaseDataset.get_data_info(dataset, index)
        except (AttributeError, IndexError):
            pass
    if hasattr(dataset, 'get_data_info'):
        return dataset.get_data_info(index)
    return dataset.data_list[index]


def _of_files(holder: Any, info: Mapping[str, Any]) -> Identity | None:
    """The identity of an image that is files; None if they are not known."""
    stored: list[Hashable] = []
    files: list[tuple[str, int]] = []
    paths = list(_paths(info))
    if not paths:
        return None
    for path in paths:
        try:
            found = os.stat(path)
            files.append((path, found.st_size))
            stored.append(
                (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            )
        except OSError:
            storage = _storage(holder)
            if '://' not in path and not storage:
                return None
            scheme, _, rest = path.rpartition('://')
            stored.append((storage, scheme, posixpath.normpath(rest)))
    return Identity(', '.join(paths), tuple(stored), files=tuple(files))


def _paths(info: Mapping[str, Any]) -> Iterator[str]:
    path = info.get('img_path')
    if path is None and isinstance(info.get('images'), list):  # of a video
        path = [m.get('img_path') for m in info['images'] if isinstance(m, Mapping)]
    if path is None:
        path = [v for v in info.values() if isinstance(v, str | os.PathLike)]
        path = [p for p in path if os.fspath(p).lower().endswith(_SUFFIXES)]
    for one in path if isinstance(path, list | tuple) else [path]:
        if isinstance(one, str | os.PathLike):
            yield os.fspath(one)


def _storage(holder: Any) -> str:
    """The storage that the transforms of a dataset read from, if it is named."""
    for leaf in leaves(holder):
        for transform in getattr(getattr(leaf, 'pipeline', None), 'transforms', ()):
            for name in ('backend_args', 'file_client_args'):
                if arguments := getattr(transform, name, None):
                    return repr(sorted(arguments.items(), key=str))
    return ''


def _digest(info: Mapping[str, Any]) -> bytes:
    for key in _IN_MEMORY:
        image = info.get(key)
        if isinstance(image, bytes | bytearray):
            return hashlib.blake2b(image, digest_size=16).digest()
        if isinstance(image, torch.Tensor) or hasattr(image, '__array_interface__'):
            array = np.asarray(image)
            shape = repr((array.shape, array.dtype)).encode()
            return hashlib.blake2b(shape + array.tobytes(), digest_size=16).digest()
    return b''
