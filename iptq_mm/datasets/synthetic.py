"""Images sampled from statistics of photographs, to calibrate without any image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import Registry

from .synthetic_leaves import dead_leaves
from .synthetic_noise import Array, Rng, mix_colors, spectral_noise

DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='iptq_mm',
    locations=['iptq_mm.datasets.synthetic'],
)


def _noise(rng: Rng, size: tuple[int, int], alpha: float) -> Array:
    return mix_colors(spectral_noise(rng, size, alpha, 3))


#: How the images of each kind are sampled.
KINDS: dict[str, Callable[[Rng, tuple[int, int], float], Array]] = {
    'noise': _noise,
    'dead_leaves': dead_leaves,
}


@DATASETS.register_module()
class NoiseImages(BaseDataset):
    """Images that no camera took and no model saw, for calibration.

    An image depends on ``(seed, index)`` alone.

    Args:
        num_images: How many.
        size: Height and width.
        kind: ``'noise'``, Gaussian noise whose amplitude spectrum falls as
            ``1 / f**alpha``; or ``'dead_leaves'``, textured shapes of all sizes
            that hide one another.
        alpha: Slope of the spectrum; 0 is white.
        mean: Mean of red, green and blue over all images, 0 to 255.
        std: Their standard deviation; both usually those of the config's
            ``data_preprocessor``.
        seed: Decides about everything else.
        pipeline: Transforms, as for files; those that load an image are left out.
        **kwargs: As of mmengine's ``BaseDataset``.

    Raises:
        ValueError: If an argument makes no images.
    """

    def __init__(
        self,
        num_images: int = 128,
        size: Sequence[int] = (224, 224),
        kind: str = 'dead_leaves',
        alpha: float = 1.0,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        seed: int = 0,
        pipeline: Sequence[Any] = (),
        **kwargs: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f'NoiseImages: no kind {kind!r}; there are {list(KINDS)}')
        if num_images < 1 or len(size) != 2 or min(size) < 8:
            raise ValueError(
                f'NoiseImages: num_images={num_images}, size={tuple(size)}: use at '
                'least one image of at least 8x8, size=(height, width)'
            )
        if len(mean) != 3 or len(std) != 3:
            raise ValueError('NoiseImages: mean and std have red, green and blue')
        self._count = num_images
        self._size = int(size[0]), int(size[1])
        self._kind, self._alpha, self._seed = kind, alpha, seed
        self._mean = np.array(mean, np.float32)
        self._std = np.array(std, np.float32)
        kept = [transform for transform in pipeline if not _loads(transform)]
        super().__init__(pipeline=kept, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One entry for each image; its path is a name only."""
        return [
            {'img_id': i, 'img_path': f'{self._kind}/{self._seed}/{i}'}
            for i in range(self._count)
        ]

    def get_data_info(self, idx: int) -> dict:
        """An entry with its image, as after ``LoadImageFromFile``."""
        info = super().get_data_info(idx)
        info['img'] = self.image(info['img_id'])
        info['img_shape'] = info['ori_shape'] = self._size
        info['scale_factor'] = (1.0, 1.0)
        return info

    def image(self, index: int) -> Array:
        """The image of an index, ``(height, width, 3)`` uint8, BGR."""
        rng = np.random.default_rng([self._seed, index])
        field = KINDS[self._kind](rng, self._size, self._alpha)
        # Photographs differ in brightness and contrast; together these leave the
        # variance over all images at 1.
        light, contrast = rng.standard_normal(2).astype(np.float32)
        field = 0.4 * light + 0.84 * np.exp(0.3 * contrast) * field
        pixels = np.clip(np.round(self._mean + self._std * field), 0, 255)
        return np.ascontiguousarray(pixels.astype(np.uint8)[..., ::-1])


def _loads(transform: Any) -> bool:
    """Whether a transform wants an image file (``LoadImageFromFile`` and its like)."""
    kind = transform.get('type') if isinstance(transform, Mapping) else type(transform)
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', '')
    return name.rpartition('.')[2].startswith('LoadImage')
