"""Which images calibrate, and how ranks share them."""

import copy

import pytest
import tiny_models
import torch
from calibration_cases import drawn, files
from calibration_cases import loader as _loader
from calibration_cases import paths as _paths
from calibration_cases import settings as _settings
from mmengine import dist
from mmengine.registry import DATASETS, init_default_scope
from torch.utils.data import DataLoader

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.calibration_data import loaders_of
from iptq_mm.engine.quantize.progress import some_batches


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


# Plain data sets, and those that wrappers only repeat, give the images that they
# always gave for a seed.
@pytest.mark.parametrize('seed', [0, 1, 7])
def test_a_seed_gives_the_same_images_as_ever(cfg, seed):
    every = files(cfg.train_dataloader.dataset.data_root, 'train')
    assert _paths(_loader(cfg, seed)) == drawn(every, 6, seed)
    plain = cfg.train_dataloader.dataset
    for wrapper in (
        dict(type='RepeatDataset', times=3, dataset=plain),
        dict(type='ClassBalancedDataset', oversample_thr=0.9, dataset=plain),
        dict(
            type='RepeatDataset',
            times=2,
            dataset=dict(type='ClassBalancedDataset', oversample_thr=1, dataset=plain),
        ),
    ):
        cfg.train_dataloader.dataset = wrapper
        assert _paths(_loader(cfg, seed)) == drawn(every, 6, seed)


@pytest.mark.parametrize('filter_cfg', [None, dict(filter_empty_gt=True, min_size=80)])
def test_a_detector_is_calibrated_on_all_images(det_cfg, filter_cfg, tiny_data):
    """Those without objects or too small ones show activations, too."""
    det_cfg.train_dataloader.dataset.filter_cfg = filter_cfg
    every = sorted(map(str, (tiny_data / 'detection/train').glob('*.png')))
    assert _paths(_loader(det_cfg, 5)) == drawn(every, 3, 5)


def test_mosaics_are_looked_through(det_cfg, tiny_data):
    every = sorted(map(str, (tiny_data / 'detection/train').glob('*.png')))
    det_cfg.train_dataloader.dataset = dict(
        type='MultiImageMixDataset',
        dataset=det_cfg.train_dataloader.dataset,
        pipeline=[dict(type='Mosaic', img_scale=(64, 64)), dict(type='NoSuchThing')],
    )
    loader = _loader(det_cfg, 5)
    assert _paths(loader) == drawn(every, 3, 5)
    assert next(iter(loader))['inputs'][0].shape == (3, 64, 96)


@pytest.mark.parametrize('given', ['dataset', 'dataloader'])
def test_built_objects_in_the_config(cfg, given):
    every = files(cfg.train_dataloader.dataset.data_root, 'train')
    for key in ('train_dataloader', 'test_dataloader'):
        options = copy.deepcopy(cfg[key])
        if key == 'train_dataloader':  # an augmentation that calibration must not see
            options.dataset.pipeline.insert(1, dict(type='Resize', scale=8))
        dataset = DATASETS.build(options.dataset)
        cfg[key] = dict(dataset=dataset)
        if given == 'dataloader':
            cfg[key] = DataLoader(dataset, collate_fn=list)
        if key == 'train_dataloader':
            trained = dataset
    loader = _loader(cfg)
    if given == 'dataloader':
        assert isinstance(next(iter(loader)), list)  # as the evaluation collates
    else:
        assert _paths(loader) == drawn(every, 6)
        assert next(iter(loader))['inputs'][0].shape == (3, 32, 32)
    assert trained[0]['inputs'].shape == (3, 8, 8)  # it trains as before
    assert not trained.test_mode


def test_validation_only(cfg):
    cfg.test_dataloader = None
    assert len(_paths(_loader(cfg))) == 6


def test_a_runner_without_a_config(cfg):
    class Runner:
        def __init__(self, runner_cfg, **loaders):
            self.cfg = runner_cfg
            self.__dict__.update(loaders)

    names = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    loaders = {name: cfg[name] for name in names}
    without = Runner({}, **{f'_{name}': loader for name, loader in loaders.items()})
    assert loaders_of(Runner(cfg)) == loaders_of(without) == loaders
