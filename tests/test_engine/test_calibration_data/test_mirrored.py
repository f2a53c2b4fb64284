"""``calibration.mirrored``: each image calibrates twice."""

import pytest
import torch
from calibration_cases import loader, paths
from mmengine import dist

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.calibration_data.mirrored import _mirrored


def _images(batches):
    return [image for batch in batches for image in batch['inputs']]


def test_all_images_and_then_all_mirrored(cfg):
    options = dict(num_images=9, batch_size=4)
    plain = loader(cfg, **options)
    both = loader(cfg, mirrored=True, **options)
    images, names = _images(plain), paths(plain)
    found = _images(both)
    assert paths(both) == names * 2
    for image, same, other in zip(images, found[:9], found[9:], strict=True):
        assert torch.equal(same, image) and torch.equal(other, image.flip(-1))
    assert any(not torch.equal(image, image.flip(-1)) for image in images)
    # Those of a part of the images, and another time.
    assert paths(both.only([0, 10])) == [names[0], names[1]]
    assert torch.equal(_images(both.only([0, 10]))[1], images[1].flip(-1))


@pytest.mark.parametrize('ranks', [2, 3])
def test_ranks_share_them(cfg, ranks, monkeypatch):
    options = dict(num_images=9, batch_size=2, mirrored=True)
    whole, found = paths(loader(cfg, **options)), []
    for rank in range(ranks):
        monkeypatch.setattr(dist, 'get_dist_info', lambda rank=rank: (rank, ranks))
        found += paths(loader(cfg, **options))
    assert found == whole


@pytest.mark.parametrize(
    'sample', [(torch.zeros(3, 2, 2), 1), {}, dict(inputs=dict(img=0))]
)
def test_what_is_no_image(sample):
    with pytest.raises(ConfigError, match='mirrored needs samples with an image'):
        _mirrored(sample)
