"""Public checkpoints: what the metafiles know of them, and how they are fetched."""

from .advice import how_to_get
from .download import ChecksumError, NoSpaceError
from .get import get
from .metafiles import PublicCheckpoint, public_checkpoints
from .names import UnknownNameError, find
from .transfer import DownloadError, MissingError, UnreachableError

__all__ = [
    'ChecksumError',
    'DownloadError',
    'MissingError',
    'NoSpaceError',
    'PublicCheckpoint',
    'UnknownNameError',
    'UnreachableError',
    'find',
    'get',
    'how_to_get',
    'public_checkpoints',
]
