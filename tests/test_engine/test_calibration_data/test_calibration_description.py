"""How many images calibrate is said, and warned of where they are few."""

import pytest
from calibration_cases import loader, pictures, settings
from mmengine import dist

from iptq_mm.engine.calibration_data import describe_calibration


def _warnings(logged):
    return [text for level, text in logged if level == 'WARNING']


def test_description(cfg, tmp_path, monkeypatch):
    pictures(tmp_path / 'more', count=5)
    first = cfg.train_dataloader.dataset
    second = dict(first, data_root=str(tmp_path), data_prefix='more')
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[first, second])
    asked = dict(num_images=24, batch_size=5)

    def described():
        return describe_calibration(loader(cfg, **asked), settings(cfg, **asked))

    alone = described()
    assert alone == dict(
        images=24,
        mirrored=False,
        asked=24,
        total=24,
        batches=5,
        batch_size=5,
        data_sets=[
            dict(name=f'CustomDataset {first.data_root}/train', images=9),
            dict(name=f'CustomDataset {tmp_path}/more', images=15),
        ],
    )
    monkeypatch.setattr(dist, 'get_dist_info', lambda: (1, 3))
    assert described() == alone


def test_mirrored_images_are_no_more_images(cfg, logged):
    asked = dict(num_images=9, batch_size=4, mirrored=True)
    found = describe_calibration(loader(cfg, **asked), settings(cfg, **asked))
    assert found['images'] == found['data_sets'][0]['images'] == 9
    assert found['mirrored'] and found['batches'] == 5
    assert any(text.endswith('(9), each mirrored, too') for _, text in logged)


@pytest.mark.parametrize('asked', [4, 8, 9, 128, 1])
def test_counts_are_logged(cfg, logged, asked):
    made = min(asked, 9)
    loader(cfg, num_images=asked, batch_size=1)
    images = '1 image' if made == 1 else f'{made} images'
    place = f'{cfg.train_dataloader.dataset.data_root}/train'
    expected = (
        f'calibration: {images} of 9, asked for {asked}, '
        f'from CustomDataset {place} ({made})'
    )
    assert ('INFO', expected) in logged
    warnings = '\n'.join(_warnings(logged))
    assert ('asks for 128: there are no more' in warnings) == (asked == 128)
    assert ('rarely show the ranges' in warnings) == (asked < 8)
