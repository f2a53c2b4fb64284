"""A folder of made images that says how they were made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
from torch import Tensor

from ...utils.files import atomic_write, write_whole

#: The list of the images, as mmengine's ``BaseDataset`` reads it.
LIST = 'images.json'
_MADE_BY = 'made_by'
_TOOL = 'make_calibration_images'


class ImageFolder:
    """Grows batch by batch; what its list names is whole.

    Args:
        path: The folder; made when it is opened.

    Raises:
        FileExistsError: If it holds something that this class did not write.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._metainfo: dict[str, Any] = {}
        self._entries: list[dict[str, Any]] = []
        if self.path.is_dir() and not any(self.path.iterdir()):
            return
        if self.path.exists():
            self._read()

    def open(self, **made: Any) -> int:
        """Keep the images if they were made in this way, else remove them.

        Args:
            **made: How the images are made, plain data.

        Returns:
            How many images there are.
        """
        made = {_MADE_BY: _TOOL, **made}
        if made != self._metainfo:
            names = [entry['img_path'] for entry in self._entries]
            self._metainfo, self._entries = made, []
            self.path.mkdir(parents=True, exist_ok=True)
            self._write_list()
            for name in names:
                (self.path / name).unlink(missing_ok=True)
        return len(self._entries)

    def add(self, images: Tensor, labels: list[int] | None = None) -> None:
        """Write images, then name them in the list.

        Args:
            images: (N, 3, H, W) uint8, BGR.
            labels: The class that each shows.
        """
        for i, image in enumerate(images):
            entry: dict[str, Any] = {'img_id': len(self._entries)}
            entry['img_path'] = f'{entry["img_id"]:05d}.png'
            if labels is not None:
                entry['gt_label'] = labels[i]
            _, png = cv2.imencode('.png', image.permute(1, 2, 0).numpy())
            write_whole(self.path / entry['img_path'], png.tofile)
            self._entries.append(entry)
        self._write_list()

    def _read(self) -> None:
        try:
            listed = json.loads((self.path / LIST).read_text(encoding='utf-8'))
            self._metainfo, self._entries = listed['metainfo'], listed['data_list']
            ours = self._metainfo[_MADE_BY] == _TOOL
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise FileExistsError(
                f'{self.path} holds something other than synthetic images'
            )

    def _write_list(self) -> None:
        listed = {'metainfo': self._metainfo, 'data_list': self._entries}
        atomic_write(self.path / LIST, json.dumps(listed, indent=1) + '\n')
