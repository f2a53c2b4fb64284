"""Which images calibrate, and how ranks share them."""

import pytest
import tiny_models
import torch
from mmengine import dist
from mmengine.registry import init_default_scope

from iptq_mm.calibration import ConfigError, QuantizationConfig
from iptq_mm.engine.calibration_data import build_calibration_dataloader
from iptq_mm.engine.quantize import some_batches


@pytest.fixture
def cfg(tiny_data):
    init_default_scope('mmpretrain')
    return tiny_models.swin(tiny_data / 'classification')


def _settings(cfg, **calibration):
    calibration = {**cfg.quantization.calibration, **calibration}
    quantization = {**cfg.quantization, 'calibration': calibration}
    return QuantizationConfig.from_dict(quantization, cfg.candidates)


def _paths(loader):
    return [sample.img_path for batch in loader for sample in batch['data_samples']]


def _loader(cfg, seed=0, **calibration):
    return build_calibration_dataloader(cfg, _settings(cfg, **calibration), seed)


def test_images_of_the_training_split_without_augmentation(cfg):
    cfg.train_dataloader.dataset.pipeline = [dict(type='NoSuchTransform')]
    loader = _loader(cfg)
    paths = _paths(loader)
    assert len(set(paths)) == 6 and len(loader) == 3
    assert all('/train/' in path for path in paths)
    assert paths == _paths(loader) == _paths(_loader(cfg))
    assert paths != _paths(_loader(cfg, seed=1))


def test_no_more_images_than_there_are(cfg):
    assert len(_paths(_loader(cfg, num_images=100))) == 9


@pytest.mark.parametrize('ranks', [2, 3, 4])
def test_ranks_share_whole_batches(cfg, ranks, monkeypatch):
    options = dict(num_images=9, batch_size=2)
    whole = [len(b['inputs']) for b in _loader(cfg, **options)]
    paths = _paths(_loader(cfg, **options))
    sizes, found = [], []
    for rank in range(ranks):
        monkeypatch.setattr(dist, 'get_dist_info', lambda rank=rank: (rank, ranks))
        loader = _loader(cfg, **options)
        sizes += [len(b['inputs']) for b in loader]
        found += _paths(loader)
    assert (sizes, found) == (whole, paths)


def test_more_ranks_than_batches(cfg, monkeypatch):
    monkeypatch.setattr(dist, 'get_dist_info', lambda: (0, 4))
    with pytest.raises(ConfigError, match='leave some of 4 processes without any'):
        _loader(cfg)


@pytest.mark.parametrize('totals', [[5], [2, 3], [1, 1, 3], [1, 2, 2]])
@pytest.mark.parametrize('images', [1, 4, 6, 100])
def test_analysed_batches_do_not_depend_on_ranks(cfg, totals, images, monkeypatch):
    config = _settings(cfg, analysis_images=images, batch_size=2)

    def chosen_of(total):
        return list(some_batches(range(total), 'analyse', total, images, config))

    alone = set(chosen_of(5))
    assert len(alone) == min(5, -(-images // 2)) and 0 in alone
    monkeypatch.setattr(dist, 'all_gather_object', lambda total: totals)
    chosen = set()
    for rank, total in enumerate(totals):
        monkeypatch.setattr(dist, 'get_rank', lambda rank=rank: rank)
        chosen |= {sum(totals[:rank]) + i for i in chosen_of(total)}
    assert chosen == alone


def test_dataloader_of_its_own(cfg):
    other = cfg.train_dataloader.copy()
    other.dataset = dict(type='RepeatDataset', times=2, dataset=other.dataset)
    loader = _loader(cfg, dataloader=other, num_images=18)
    assert len(_paths(loader)) == 18


def test_collate_function(cfg):
    assert isinstance(next(iter(_loader(cfg)))['inputs'], list)
    cfg.test_dataloader.collate_fn = dict(type='default_collate')
    assert isinstance(next(iter(_loader(cfg)))['inputs'], torch.Tensor)
    cfg.test_dataloader.collate_fn = dict(type='nothing')
    with pytest.raises(ConfigError, match="no collate function 'nothing'"):
        _loader(cfg)


def test_workers(cfg):
    cfg.test_dataloader.num_workers = 1
    assert _paths(_loader(cfg)) == _paths(_loader(cfg))


def _wrapped(dataset):
    return dict(type='RepeatDataset', times=1, dataset=dataset)


@pytest.mark.parametrize('key', ['test_dataloader', 'val_dataloader'])
@pytest.mark.parametrize('wrap', [dict, _wrapped])
def test_evaluation_split_is_refused(cfg, key, wrap):
    cfg.train_dataloader = cfg.val_dataloader.copy()
    cfg[key].dataset = wrap(cfg[key].dataset)
    for other in {'test_dataloader', 'val_dataloader'} - {key}:
        if other == 'val_dataloader':
            cfg[other] = None
        else:
            cfg[other].dataset.data_prefix = 'another'
    with pytest.raises(ConfigError, match=f'images of the evaluation .{key}'):
        _loader(cfg)


def test_wrappers_of_different_splits_are_no_evaluation(cfg):
    """Wrappers have no data_root of their own: that does not make them equal."""
    cfg.test_dataloader.dataset = _wrapped(cfg.test_dataloader.dataset)
    own = dict(dataset=_wrapped(cfg.train_dataloader.dataset))
    assert _paths(_loader(cfg, dataloader=own))


def test_nothing_to_calibrate_on(cfg):
    cfg.train_dataloader = None
    with pytest.raises(ConfigError, match='there is nothing to calibrate on'):
        _loader(cfg)


def test_dataloader_without_dataset(cfg):
    with pytest.raises(ConfigError, match='has no dataset'):
        _loader(cfg, dataloader=dict(num_workers=0))


def test_missing_files(cfg):
    cfg.train_dataloader.dataset.data_prefix = 'nowhere'
    with pytest.raises(ConfigError, match='nowhere.*check data_root'):
        _loader(cfg)


def test_empty_set(cfg, tmp_path):
    (tmp_path / 'train/left').mkdir(parents=True)
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    with pytest.raises(ConfigError, match='check data_root'):
        _loader(cfg)
    cfg = tiny_models.mask_rcnn(tmp_path)
    init_default_scope('mmdet')
    (tmp_path / 'train.json').write_text(
        '{"images": [], "annotations": [], "categories": []}'
    )
    with pytest.raises(ConfigError, match='or there are none'):
        _loader(cfg)


def test_arguments_that_another_dataset_left(cfg):
    """As a child config inherits them when it changes the type only."""
    cfg.train_dataloader.dataset.split = 'train'
    with pytest.raises(ConfigError, match=r"'split'.*dataset=dict\(_delete_=True"):
        _loader(cfg)
