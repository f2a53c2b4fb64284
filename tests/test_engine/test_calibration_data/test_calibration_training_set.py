"""The training split, whatever the arguments of its data set mean."""

import pytest
from calibration_cases import (
    CLASSES,
    PIPELINE,
    OwnPipelineDataset,
    ReadyDataset,
    TableDataset,
    drawn,
    files,
    loader,
    mnist,
    paths,
    pictures,
    table,
    values,
)
from mmengine.dataset import BaseDataset

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.calibration_data.training_set import training_images

PACK = [dict(type='PackInputs')]


@pytest.mark.parametrize('kind', ['MNIST', 'FashionMNIST'])
@pytest.mark.parametrize('told', [True, False])
def test_split_chosen_by_test_mode(cfg, tmp_path, kind, told):
    root = mnist(tmp_path / 'mnist')
    for key, split in (('train', 'train'), ('val', 'test'), ('test', 'test')):
        cfg[f'{key}_dataloader'].dataset = dict(
            type=kind,
            data_root=root,
            test_mode=split == 'test',
            pipeline=PACK,
            **(dict(split=split) if told else {}),
        )
    made = loader(cfg, num_images=100)
    assert len(made.dataset) == 20
    assert max(values(made)) < 20  # those to test on have 200


def test_stanford_cars(cfg, tmp_path, monkeypatch):
    import mmpretrain.datasets.stanfordcars as module

    pictures(tmp_path / 'cars')
    every = [f'cars/{c}/{n}.png' for c in CLASSES for n in range(4)]
    test = [n % 2 for n in range(len(every))]
    notes = dict(relative_im_path=every, test=test)
    notes['class'] = [1 + n % 3 for n in range(len(every))]
    (tmp_path / 'cars_annos.mat').touch()
    monkeypatch.setattr(
        module, 'mat4py', type('m', (), dict(loadmat=lambda _: dict(annotations=notes)))
    )
    for key in ('train', 'val', 'test'):
        cfg[f'{key}_dataloader'].dataset = dict(
            type='StanfordCars',
            data_root=str(tmp_path),
            split='train' if key == 'train' else 'test',
            pipeline=PIPELINE,
        )
    assert paths(loader(cfg)) == [str(tmp_path / p) for p in every[::2]]


def test_data_set_with_arguments_of_its_own(cfg, tmp_path):
    root = cfg.train_dataloader.dataset.data_root
    for key, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        cfg[f'{key}_dataloader'].dataset = dict(
            type=TableDataset,
            table=table(tmp_path / f'{split}.csv', files(root, split)),
            pipeline=PIPELINE,
        )
    expected = drawn(files(root, 'train'), 6)
    assert paths(loader(cfg)) == expected
    named = dict(dataset=dict(cfg.train_dataloader.dataset))
    assert paths(loader(cfg, dataloader=named)) == expected


def test_folds(cfg):
    whole = dict(cfg.train_dataloader.dataset)

    def fold(test_mode):
        return dict(
            type='KFoldDataset',
            dataset=whole,
            fold=0,
            num_splits=3,
            test_mode=test_mode,
            seed=1,
        )

    cfg.val_dataloader = None
    cfg.train_dataloader.dataset = dict(fold(False), dataset=dict(whole))
    cfg.test_dataloader.dataset = fold(True)
    mine = paths(loader(cfg, num_images=100))
    named = loader(cfg, num_images=100, dataloader=dict(dataset=fold(False)))
    assert len(mine) == 6 and mine == paths(named)
    cfg.train_dataloader.dataset, cfg.test_dataloader.dataset = fold(True), fold(False)
    other = paths(loader(cfg, num_images=100))
    assert len(other) == 3 and not set(mine) & set(other)
    cfg.test_dataloader.dataset = whole
    with pytest.raises(ConfigError, match='images of the evaluation'):
        loader(cfg)


def test_first_images_train_and_others_are_evaluated(cfg):
    plain = dict(cfg.train_dataloader.dataset)
    cfg.val_dataloader = None
    cfg.train_dataloader.dataset = dict(plain, indices=5)
    cfg.test_dataloader.dataset = dict(plain, indices=-4)
    every = files(plain['data_root'], 'train')
    assert paths(loader(cfg)) == every[:5]
    cfg.test_dataloader.dataset = dict(plain, indices=[1, 3])
    with pytest.raises(ConfigError, match=r'2 of 5 drawn.*left.1\.png'):
        loader(cfg)


def test_all_members_calibrate(cfg, tmp_path):
    pictures(tmp_path / 'dark', high=30)
    pictures(tmp_path / 'bright', low=60, seed=1)
    member = dict(type='CustomDataset', data_root=str(tmp_path))
    train = [
        dict(member, data_prefix='dark', pipeline=[dict(type='NoSuchThing')]),
        dict(member, data_prefix='bright', pipeline=PIPELINE, test_mode=True),
    ]
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=train)
    every = files(tmp_path, 'dark') + files(tmp_path, 'bright')
    assert paths(loader(cfg, seed=4, num_images=8)) == drawn(every, 8, 4)
    assert paths(loader(cfg, num_images=99)) == every
    # Once each, whatever repeats them inside.
    train[0] = dict(type='RepeatDataset', times=5, dataset=train[0])
    assert sorted(paths(loader(cfg, num_images=99))) == sorted(every)


def test_pipeline_that_a_class_brings(cfg, tmp_path):
    root = cfg.train_dataloader.dataset.data_root
    for key, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        cfg[f'{key}_dataloader'].dataset = dict(
            type=OwnPipelineDataset,
            table=table(tmp_path / f'{split}.csv', files(root, split)),
            test_mode=key != 'train',
        )
    made = loader(cfg)
    assert paths(made) == drawn(files(root, 'train'), 6)
    assert next(iter(made))['inputs'][0].shape == (3, 32, 32)  # not 8x8
    # One of them has it in its config.
    cfg.train_dataloader.dataset = dict(
        type='CustomDataset', data_root=root, data_prefix='train', pipeline=[]
    )
    assert paths(loader(cfg)) == drawn(files(root, 'train'), 6)


def test_evaluation_without_any_pipeline(cfg):
    cfg.test_dataloader.dataset.pop('pipeline')
    with pytest.raises(ConfigError, match=r'\(CustomDataset\) has no pipeline'):
        loader(cfg)


def test_ready_samples_of_another_library(cfg):
    cfg.val_dataloader = None
    cfg.train_dataloader.dataset = dict(type=ReadyDataset, count=12, value=3)
    cfg.test_dataloader.dataset = dict(type=ReadyDataset, count=5, value=200)
    assert len(values(loader(cfg))) == 6
    cfg.train_dataloader.dataset = dict(type=ReadyDataset, count=5, value=200)
    with pytest.raises(ConfigError, match='images of the evaluation'):
        loader(cfg)  # of equal configs so much is known


def test_pipeline_that_cannot_be_exchanged(cfg):
    cfg.train_dataloader.dataset = dict(type=ReadyDataset)
    with pytest.raises(ConfigError, match='ReadyDataset.*calibration.dataloader'):
        loader(cfg)
    cfg.train_dataloader.dataset, cfg.test_dataloader.dataset = (
        cfg.val_dataloader.dataset,
        dict(type=ReadyDataset),
    )
    cfg.val_dataloader = None
    with pytest.raises(ConfigError, match='shows no pipeline'):
        loader(cfg)


def test_files_are_read_from_the_storage_of_training(cfg):
    """Not from the evaluation's, where other images have the same names."""
    here, there = dict(backend='lmdb', db_path='a'), dict(backend='lmdb', db_path='b')
    for key, storage in (('train_dataloader', here), ('test_dataloader', there)):
        load = dict(type='LoadImageFromFile', backend_args=storage)
        cfg[key].dataset.pipeline = [load, dict(type='PackInputs')]
    dataset, _ = training_images(cfg)
    assert dataset.pipeline.transforms[0].backend_args == here
    cfg.train_dataloader.dataset.pipeline[0].pop('backend_args')
    dataset, _ = training_images(cfg)
    assert dataset.pipeline.transforms[0].backend_args is None


def test_images_are_handed_out_as_in_evaluation(cfg):
    class Judging(BaseDataset):
        METAINFO = dict(classes=CLASSES)

        def load_data_list(self):
            assert not self.test_mode  # which split it is, is decided now
            return [dict(img_path=str(n)) for n in range(9)]

    cfg.train_dataloader.dataset = dict(type=Judging, pipeline=[], lazy_init=True)
    dataset, _ = training_images(cfg)
    assert dataset.test_mode and len(dataset) == 9
