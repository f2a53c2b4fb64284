"""Images that are evaluated are recognized, however they are named."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from calibration_cases import (
    CLASSES,
    PIPELINE,
    TableDataset,
    files,
    loader,
    mnist,
    paths,
    pictures,
    table,
)
from mmengine.dataset import BaseDataset

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.calibration_data.evaluated import EvaluatedImages
from iptq_mm.engine.calibration_data.identity import identified


@pytest.fixture
def root(cfg):
    return Path(cfg.test_dataloader.dataset.data_root)


def _spelt(how, root, tmp_path):
    """Another name of the folder with the evaluation images."""
    if how == 'slash':
        return f'{root}/'
    if how == 'dots':
        return f'{root}/val/..'
    if how == 'relative':
        return os.path.relpath(root)
    folder = tmp_path / how
    if how == 'linked folder':
        folder.symlink_to(root)
        return str(folder)
    for path in files(root, 'val'):
        other = folder / Path(path).relative_to(root)
        other.parent.mkdir(parents=True, exist_ok=True)
        make = {'links': os.symlink, 'hard links': os.link}[how]
        make(path, other)
    return str(folder)


@pytest.mark.parametrize(
    'how', ['slash', 'dots', 'relative', 'linked folder', 'links', 'hard links']
)
@pytest.mark.parametrize('own', [True, False])
def test_other_spellings(cfg, root, tmp_path, how, own):
    other = dict(cfg.test_dataloader.dataset, data_root=_spelt(how, root, tmp_path))
    given = {}
    if own:
        given = dict(dataloader=dict(dataset=other))
    else:
        cfg.train_dataloader.dataset = other
    with pytest.raises(ConfigError, match=r'6 of 6 drawn.*/\d\.png') as error:
        loader(cfg, **given)
    assert 'quantization.calibration.dataloader' in str(error.value)


def test_copies_are_warned_of(cfg, root, tmp_path, logged):
    """Other files may be equal by chance, or on purpose."""
    shutil.copytree(root / 'val', tmp_path / 'train')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    assert len(paths(loader(cfg))) == 6
    assert any('6 images equal to evaluated ones' in text for _, text in logged)


@pytest.mark.parametrize('key', ['test_dataloader', 'val_dataloader'])
def test_any_member_of_the_evaluation(cfg, root, tmp_path, key):
    test = dict(cfg.test_dataloader.dataset)
    pictures(tmp_path / 'other')
    other = dict(test, data_root=str(tmp_path), data_prefix='other')
    cfg.test_dataloader.dataset = other
    cfg[key].dataset = dict(
        type='ConcatDataset',
        datasets=[other, dict(type='RepeatDataset', times=2, dataset=test)],
    )
    cfg.val_dataloader.dataset.setdefault('type', 'CustomDataset')
    with pytest.raises(ConfigError, match=rf'evaluation \({key}\)'):
        loader(cfg, dataloader=dict(dataset=test))


def test_one_shared_image_is_counted_and_named(cfg, root, tmp_path):
    shared = files(root, 'val')[3]
    given = dict(
        type=TableDataset,
        table=table(tmp_path / 'mixed.csv', [*files(root, 'train'), shared]),
        pipeline=PIPELINE,
    )
    with pytest.raises(ConfigError, match=f'1 of 10 drawn .*instance {shared}'):
        loader(cfg, dataloader=dict(dataset=given), num_images=99)


def test_same_names_in_other_folders_are_other_images(cfg):
    """train/left/0.png and val/left/0.png."""
    assert paths(loader(cfg))


def test_images_in_memory(cfg, tmp_path):
    root = mnist(tmp_path / 'mnist')
    dataset = dict(type='MNIST', data_root=root, pipeline=[dict(type='PackInputs')])
    cfg.val_dataloader = None
    cfg.train_dataloader.dataset = dict(dataset, split='test', test_mode=True)
    cfg.test_dataloader.dataset = dict(dataset, split='train', test_mode=True)
    with pytest.raises(ConfigError, match=r'6 of 6 drawn.*number \d of MNIST'):
        loader(cfg)


class Arrays(BaseDataset):
    """Images in memory; some of those to train on are evaluated, too, by chance."""

    METAINFO = dict(classes=CLASSES)

    def __init__(self, seed, shared, **kwargs):
        self.seed, self.shared = seed, shared
        super().__init__(**kwargs)

    def load_data_list(self):
        rng, common = (np.random.default_rng(s) for s in (self.seed, 99))
        images = [
            (common if n < self.shared else rng).integers(0, 256, (8, 8, 3), np.uint8)
            for n in range(40)
        ]
        return [dict(img=image, gt_label=0) for image in images]


@pytest.mark.parametrize('shared', [0, 2, 30])
def test_equal_images_by_chance_are_left_out(cfg, shared, logged):
    cfg.val_dataloader = None
    for key, seed in (('train_dataloader', 1), ('test_dataloader', 2)):
        cfg[key].dataset = dict(
            type=Arrays, seed=seed, shared=shared, pipeline=[dict(type='PackInputs')]
        )
    if shared == 30:
        with pytest.raises(ConfigError, match='images of the evaluation'):
            loader(cfg, num_images=40)
        return
    assert len(loader(cfg, num_images=40).dataset) == 40 - shared
    left_out = [text for _, text in logged if '2 images left out' in text]
    assert len(left_out) == (shared > 0)


def test_evaluation_that_cannot_be_compared(cfg, logged):
    """A validation split that is not there does not matter, if nobody evaluates it."""
    cfg.val_dataloader.dataset.data_prefix = 'nowhere'
    assert paths(loader(cfg))
    assert any(
        level == 'WARNING' and 'val_dataloader: its images cannot be compared' in text
        for level, text in logged
    )


def test_remote_images_are_told_by_storage_and_name(cfg):
    class Remote(BaseDataset):
        METAINFO = dict(classes=CLASSES)

        def __init__(self, prefix, db='', **kwargs):
            self.prefix = prefix
            storage = dict(backend_args=dict(backend='lmdb', db_path=db)) if db else {}
            load = dict(type='LoadImageFromFile', **storage)
            super().__init__(pipeline=[load, dict(type='PackInputs')], **kwargs)

        def load_data_list(self):
            return [dict(img_path=f'{self.prefix}{n}.png') for n in range(5)]

    def common(evaluated, own):
        kinds = dict(test_dataloader=dict(dataset=dict(type=Remote, **evaluated)))
        return EvaluatedImages(kinds).storing(identified(Remote(**own), 2))

    bucket = dict(prefix='s3://bucket/val/')
    assert common(bucket, dict(prefix='s3://bucket/train/../val//'))
    assert not common(bucket, dict(prefix='s3://bucket/train/'))
    assert common(dict(prefix='a/', db='val'), dict(prefix='a//', db='val'))
    assert not common(dict(prefix='a/', db='val'), dict(prefix='a/', db='train'))
    assert not common(dict(prefix='nowhere/'), dict(prefix='nowhere/'))  # not known


def test_nothing_is_decoded_and_large_sets_take_seconds(cfg, tmp_path, monkeypatch):
    """As many images as ImageNet evaluates; those to train on are never listed."""
    (tmp_path / 'one.png').touch()

    class Large(BaseDataset):
        METAINFO = dict(classes=CLASSES)

        def load_data_list(self):
            return [dict(img_path=f'{tmp_path}/one.png', gt_label=0)] * 50_000

    dataset = Large(pipeline=[dict(type='LoadImageFromFile')])
    monkeypatch.setattr(Large, 'prepare_data', None)
    began = time.process_time()
    EvaluatedImages(dict(test_dataloader=dict(dataset=dataset)))
    assert time.process_time() - began < 5
