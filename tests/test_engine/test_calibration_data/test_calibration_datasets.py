"""Data sets that cannot be built: what is said."""

import pytest
from calibration_cases import loader
from mmengine.config import Config
from mmengine.registry import DATASETS

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.calibration_data import explained


@pytest.mark.parametrize(
    ('key', 'value', 'kind'),
    [
        ('split', 'train', 'CustomDataset'),
        ('test_mode', True, 'Food101'),
        ('test_mode', True, 'Flowers102'),
        ('split', 'val', 'MNIST'),
        ('split', 'val', 'InShop'),
        ('indices', 10, 'MultiTaskDataset'),
    ],
)
def test_inherited_keys_that_do_not_fit(cfg, key, value, kind):
    """As a child of another config has them, that changes the type alone."""
    cfg.train_dataloader.dataset = dict(
        type=kind, data_root='data', pipeline=[], ann_file='a.txt', **{key: value}
    )
    if kind not in ('CustomDataset', 'InShop', 'MultiTaskDataset'):
        cfg.train_dataloader.dataset.pop('ann_file')
    with pytest.raises(ConfigError, match=f"'{key}' does not fit") as error:
        loader(cfg)
    assert '_delete_=True' in str(error.value) and kind in str(error.value)


def test_what_it_says_to_write_helps(cfg, tmp_path):
    cfg.train_dataloader.dataset.update(type='ImageNet', split='train')
    cfg.train_dataloader.dataset.pop('data_prefix')
    cfg.dump(tmp_path / 'base.py')
    root = cfg.train_dataloader.dataset.data_root

    def child(extra):
        text = (
            f"_base_ = ['base.py']\ntrain_dataloader = dict(dataset=dict({extra}"
            f"type='CustomDataset', data_root={root!r}, data_prefix='train', "
            'pipeline=[]))'
        )
        (tmp_path / 'child.py').write_text(text)
        return Config.fromfile(tmp_path / 'child.py')

    with pytest.raises(ConfigError, match="'split' does not fit"):
        loader(child(''))
    assert len(loader(child('_delete_=True, ')).dataset) == 6


def test_evaluation_is_explained_alike(cfg):
    cfg.test_dataloader.dataset.split = 'val'
    with (
        pytest.raises(ConfigError, match='the evaluation images cannot.*_delete_=True'),
        explained('the evaluation images'),
    ):
        DATASETS.build(cfg.test_dataloader.dataset)
    with (
        pytest.raises(ConfigError, match='check data_root'),
        explained('the evaluation images'),
    ):
        raise OSError('gone')
    with pytest.raises(ConfigError, match='^as it is'), explained('the images'):
        raise ConfigError('as it is')
