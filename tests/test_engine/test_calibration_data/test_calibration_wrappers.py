"""Data sets around data sets."""

from calibration_cases import ReadyDataset, TableDataset, files, table
from mmengine.dataset import RepeatDataset
from torch.utils.data import ConcatDataset, Subset

from iptq_mm.engine.calibration_data.wrappers import (
    changed,
    leaves,
    located,
    members,
    unrepeated,
)


def _dataset(cfg, tmp_path, split='train'):
    images = files(cfg.train_dataloader.dataset.data_root, split)
    return TableDataset(table(tmp_path / f'{split}.csv', images), pipeline=[])


def test_where_an_image_is_from(cfg, tmp_path):
    train, val = _dataset(cfg, tmp_path), _dataset(cfg, tmp_path, 'val')
    both = ConcatDataset([RepeatDataset(train, 2), val])
    assert list(leaves(both)) == [train, val]
    assert [located(both, i) for i in (0, 8, 9, 17, 18, 23)] == [
        (train, 0),
        (train, 8),
        (train, 0),
        (train, 8),
        (val, 0),
        (val, 5),
    ]
    assert located(Subset(both, [20, 3]), 0) == (val, 2)
    assert unrepeated(RepeatDataset(train, 2)) is train
    assert unrepeated(both) is both


def test_copies_are_changed(cfg, tmp_path):
    train = _dataset(cfg, tmp_path)
    subset = Subset(ConcatDataset([train, RepeatDataset(train, 2)]), [3, 20])

    def mark(leaf):
        leaf.marked = True

    copied = changed(subset, mark)
    assert all(leaf.marked for leaf in leaves(copied))
    assert not hasattr(train, 'marked')
    assert copied[1]['img_path'] == subset[1]['img_path']


def test_what_is_no_wrapper(cfg, tmp_path):
    class Named:
        dataset = 'imagenet-1k'

    class Around:
        """Makes samples of what another library has."""

        def __init__(self):
            self.dataset, self.pipeline = ReadyDataset(), list

    for leaf in (Named(), Around(), _dataset(cfg, tmp_path)):
        assert members(leaf) == [] and list(leaves(leaf)) == [leaf]
