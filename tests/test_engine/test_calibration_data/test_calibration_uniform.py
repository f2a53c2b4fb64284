"""Images that show nothing are warned of."""

import numpy as np
import pytest
import torch
from calibration_cases import CLASSES, loader
from PIL import Image

from iptq_mm.engine.calibration_data.uniform import UniformImages


@pytest.fixture
def painted(cfg, tmp_path):
    """A config whose nine training images are painted by a function of their number."""
    cfg.train_dataloader.dataset.data_root = str(tmp_path)

    def paint(of):
        for n in range(9):
            path = tmp_path / 'train' / CLASSES[n % 3] / f'{n}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(of(n)).save(path)
        return cfg

    return paint


def _warned(logged, cfg):
    made = loader(cfg, num_images=9)
    for _ in made:  # a phase that looks at one batch
        break
    assert not any('value' in text or 'the same' in text for _, text in logged)
    for _ in range(2):
        list(made)
    return [text for level, text in logged if level == 'WARNING']


def _noise(n):
    return np.random.default_rng(n).integers(0, 256, (32, 32, 3), np.uint8)


@pytest.mark.parametrize(
    ('of', 'warning'),
    [
        (lambda n: np.zeros((32, 32, 3), np.uint8), '9 of 9 images have one single'),
        (lambda n: np.full((32, 32, 3), n, np.uint8), '9 of 9 images have one single'),
        (lambda n: _noise(0), 'all 9 images are one and the same'),
        (lambda n: _noise(n) * np.uint8(n > 4), '5 of 9 images have one single'),
    ],
)
def test_warning(painted, logged, of, warning):
    found = _warned(logged, painted(of))
    assert len(found) == 1 and warning in found[0]


def test_some_black_ones_are_no_reason(painted, logged):
    assert not _warned(logged, painted(lambda n: _noise(n) * np.uint8(n > 1)))


def test_what_batches_look_like():
    seen = UniformImages()
    assert seen.warning() == ''
    seen.look(dict(inputs=torch.zeros(2, 3, 4, 4)))
    seen.look(dict(inputs=[torch.ones(3, 2, 2, dtype=torch.uint8), None]))
    seen.look([1, 2])
    seen.look(dict(inputs=dict(img=1)))
    assert (seen.images, seen.plain, seen.equal) == (3, 3, 2)
