"""Results for the evaluation server of ImageNet (ILSVRC 2012, classification).

The format is that of the readme of its development kit: a text file with a line for
each test image, in the order of the file names, of up to five ``ILSVRC2012_ID``, the
most likely first. These numbers are not the class indices of mm, which follow WordNet
IDs; ``data/meta.mat`` of the kit has both.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from ...calibration import ConfigError
from ...utils.files import atomic_write
from ..loading.foreign import foreign_errors

_MOST = 5


class ImageNetServer:
    """Writes results of a classifier.

    Args:
        dataset: Of the test images.
        name: Of the method.
        devkit: Folder of the development kit, or its ``meta.mat``.

    Raises:
        ConfigError: If the kit is not named, or is none.
        FileNotFoundError: If there is no such file.
    """

    def __init__(self, dataset: Any, name: str, devkit: str | None) -> None:
        if devkit is None:
            raise ConfigError(
                'the server of ImageNet has numbers of its own for classes: name the '
                'folder of the development kit (ILSVRC2012_devkit_t12) with --devkit'
            )
        self._numbers = server_numbers(devkit)
        self._name = name
        self._images = [
            os.path.basename(str(dataset.get_data_info(i)['img_path']))
            for i in range(len(dataset))
        ]

    def write(self, samples: list[dict], folder: Path) -> list[Path]:
        """Write the file, ``NAME.txt``.

        Args:
            samples: Predictions, as ``DumpResults`` of mmengine keeps them, in the
                order of the data set.
            folder: Where.

        Raises:
            ConfigError: If they are not predictions of the test images.
        """
        if len(samples) != len(self._images):
            raise ConfigError(
                f'the predictions are of {len(samples)} images, the test set has '
                f'{len(self._images)}'
            )
        lines = []
        for image, sample in zip(self._images, samples, strict=True):
            there = os.path.basename(str(sample.get('img_path') or image))
            scores = sample.get('pred_score')
            if there != image or scores is None:
                raise ConfigError(
                    f"the predictions have '{there}' where the test set has '{image}', "
                    'or no scores: they are of other images, or of no classifier'
                )
            if len(scores) != len(self._numbers):
                raise ConfigError(
                    f'the model knows {len(scores)} classes, ImageNet has '
                    f'{len(self._numbers)}'
                )
            # Integer logits are often equal; topk leaves their order open.
            order = torch.as_tensor(scores).argsort(descending=True, stable=True)
            best = order[:_MOST]
            numbers = ' '.join(str(self._numbers[i]) for i in best.tolist())
            lines.append((image, numbers))
        path = folder / f'{self._name}.txt'
        atomic_write(path, ''.join(f'{numbers}\n' for _, numbers in sorted(lines)))
        return [path]


def server_numbers(devkit: str) -> list[int]:
    """The ``ILSVRC2012_ID`` of each class of mm, in the order of mm's indices.

    Args:
        devkit: Folder of the development kit, or its ``meta.mat``.

    Raises:
        ConfigError: If it is none.
        FileNotFoundError: If there is no such file.
    """
    path = Path(devkit)
    path = path / 'data' / 'meta.mat' if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f'--devkit: there is no file {path}')
    what = f'--devkit: {path} is no meta.mat of ImageNet'
    advice = 'take it from data/ of ILSVRC2012_devkit_t12'
    with foreign_errors(what, advice):
        from scipy.io import loadmat

        held = loadmat(str(path), squeeze_me=True)
    try:
        leaves = [s for s in held['synsets'] if int(s['num_children']) == 0]
        # mm numbers the classes in the order of their WordNet IDs.
        pairs = sorted((str(s['WNID']), int(s['ILSVRC2012_ID'])) for s in leaves)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ConfigError(f'{what} ({error}): {advice}') from error
    numbers = [number for _, number in pairs]
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        raise ConfigError(f'{what}: its classes are not numbered from 1')
    return numbers
