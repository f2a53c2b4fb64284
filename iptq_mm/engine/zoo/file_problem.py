"""Files that are no checkpoints, by what they begin with."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

#: Beginnings of files that are downloaded in the place of a checkpoint.
_IMPOSTORS = {
    b'<': 'is a web page: download the file itself',
    b'{': 'is JSON: download the file itself',
    b'version https://git-lfs': "is a pointer of Git LFS: run 'git lfs pull'",
}


def content_problem(path: str | os.PathLike) -> str:
    """Why a file is no checkpoint, by its content; empty if it may be one.

    Args:
        path: A file that is there.
    """
    with Path(path).open('rb') as file:
        start = file.read(64).lstrip()
    if not start:
        return 'is an empty file: download it again'
    for beginning, what in _IMPOSTORS.items():
        if start.startswith(beginning):
            return what
    if start.startswith(b'PK') and not zipfile.is_zipfile(path):
        return 'is incomplete: download it again'
    return ''
