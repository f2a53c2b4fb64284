"""Format of the images that a program takes, which no shape and no type says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ImageFormat:
    """How the images were made that enter a program, shape (B, C, H, W).

    Attributes:
        channels: Their order: ``RGB``, ``BGR`` or ``grey``; ``''`` if it is that of
            the data set.
        mean: In pixels, by channel; of ``(pixel - mean) / std``.
        std: The same.
    """

    channels: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {k: list(v) if k != 'channels' else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ImageFormat:
        """Inverse of :meth:`to_dict`."""
        mean, std = (tuple(map(float, data[key])) for key in ('mean', 'std'))
        return cls(str(data['channels']), mean, std)
