"""Broken images are replaced or named."""

import os

import pytest
from calibration_cases import PIPELINE, drawn, files, loader, paths, pictures
from mmengine.dataset import BaseDataset

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.calibration_data.reading import CalibrationImages

SKIPPING = [dict(type='LoadImageFromFile', ignore_empty=True), dict(type='PackInputs')]


@pytest.fixture
def broken(cfg, tmp_path):
    """A config whose training images can be broken; their paths."""
    pictures(tmp_path / 'train')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    return files(tmp_path, 'train')


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('test_mode', [False, True])
def test_empty_files_are_replaced(cfg, broken, logged, test_mode, workers):
    cfg.test_dataloader.dataset.pipeline = SKIPPING
    cfg.test_dataloader.num_workers = workers
    cfg.train_dataloader.dataset.test_mode = test_mode
    before = paths(loader(cfg))
    gone = before[2]
    os.truncate(gone, 0)
    made = loader(cfg)
    after = paths(made)
    assert len(set(after)) == 6 and gone not in after
    assert [p for p in after if p in before] == [p for p in before if p != gone]
    assert paths(made) == after == paths(loader(cfg))  # in every phase
    if not workers:
        told = [text for level, text in logged if gone in text and level == 'WARNING']
        assert len(told) == 2  # once a loader


def test_two_that_are_broken_have_different_replacements(cfg, broken):
    cfg.test_dataloader.dataset.pipeline = SKIPPING
    for path in drawn(broken, 6)[:2]:
        os.truncate(path, 0)
    assert len(set(paths(loader(cfg)))) == 6


def test_one_that_is_broken_where_all_calibrate(cfg, broken):
    cfg.test_dataloader.dataset.pipeline = SKIPPING
    cfg.quantization.calibration.num_images = len(broken)
    os.truncate(broken[0], 0)
    found = paths(loader(cfg))
    assert len(found) == len(broken) and set(found) == set(broken[1:])


def test_all_are_broken(cfg, broken):
    cfg.test_dataloader.dataset.pipeline = SKIPPING
    for path in broken:
        os.truncate(path, 0)
    with pytest.raises(ConfigError, match='is broken.*so are those that could replace'):
        list(loader(cfg))


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('content', [b'', b'no image at all'])
def test_a_corrupt_file_is_named(cfg, broken, content, workers):
    cfg.test_dataloader.num_workers = workers
    path = drawn(broken, 6)[1]
    with open(path, 'wb') as file:
        file.write(content)
    with pytest.raises(ConfigError) as error:
        list(loader(cfg))
    assert str(error.value).startswith(f'the image {path} cannot be read')
    assert 'Traceback' not in str(error.value)


def test_a_file_that_is_missing_is_named(cfg, broken):
    made = loader(cfg)
    path = drawn(broken, 6)[0]
    os.remove(path)
    with pytest.raises(ConfigError, match=f'{path} cannot be read'):
        list(made)


def test_a_pipeline_that_does_not_suit(cfg):
    crop = dict(type='CenterCrop', crop_size=8)
    cfg.test_dataloader.dataset.pipeline = [crop, *PIPELINE]
    with pytest.raises(ConfigError, match='does not suit it .AssertionError'):
        list(loader(cfg))


def test_data_sets_without_a_pipeline():
    class Plain:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 3:
                raise OSError('no such page')
            return None if index == 1 else index

    assert CalibrationImages(Plain(), [0, 1], [3, 2])[0] == 0
    assert CalibrationImages(Plain(), [0, 1], [3, 2]).__getitems__([0, 1]) == [0, 2]
    with pytest.raises(ConfigError, match='number 3 cannot be read.*no such page'):
        CalibrationImages(Plain(), [3])[0]


def test_the_given_data_set_keeps_its_pipeline(cfg):
    from mmengine.registry import DATASETS

    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    pipeline = dataset.pipeline
    images = CalibrationImages(dataset, [0])
    assert isinstance(images.dataset, BaseDataset)
    assert dataset.pipeline is pipeline is not images.dataset.pipeline
