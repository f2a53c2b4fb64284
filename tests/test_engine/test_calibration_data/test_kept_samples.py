"""Calibration images are read once, as long as there is room."""

import pytest
import torch

from iptq_mm.engine.calibration_data.kept import KeptSamples
from iptq_mm.engine.calibration_data.loader import CalibrationLoader


class Images:
    """Small images; notes which ones are read."""

    def __init__(self):
        self.all, self.read = torch.arange(80.0).view(10, 8), []

    def __len__(self):
        return len(self.all)

    def __getitem__(self, position):
        self.read.append(position)
        return {'inputs': self.all[position], 'name': f'{position}.jpg'}


def loader(images, **given):
    batches = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    return CalibrationLoader(images, batches, collate_fn=list, **given)


def values(batches):
    return [[float(sample['inputs'][0]) for sample in batch] for batch in batches]


def test_each_image_is_read_once():
    images = Images()
    batches = loader(images)
    first = values(batches)
    assert first == [[0.0, 8.0, 16.0], [24.0, 32.0, 40.0], [48.0, 56.0, 64.0]]
    assert values(batches) == first and values(batches.only([1, 7])) == [[8.0, 56.0]]
    assert images.read == [*range(9)]


def test_what_was_not_asked_for_is_not_read():
    images = Images()
    batches = loader(images)
    assert values(batches.first()) == [[0.0]]
    assert values(batches.only([2, 3, 4, 8])) == [[16.0, 24.0, 32.0], [64.0]]
    assert images.read == [0, 2, 3, 4, 8]
    values(batches)
    # Batches are read as a whole, by whichever process.
    assert images.read[5:] == [*range(9)]


def test_each_time_they_are_new_ones():
    images = Images()
    batches = loader(images)
    for batch in batches:
        for sample in batch:
            sample['inputs'] = sample['inputs'].clone().fill_(-1)
            sample['more'] = 'written by the model'
    for _ in range(2):
        for batch in batches:
            assert all(sample.keys() == {'inputs', 'name'} for sample in batch)
            batch[0]['inputs'].fill_(-1)
    assert values(batches)[1][0] == 24.0 and images.all[3, 0] == 24.0


def test_workers_read_what_is_missing():
    images = Images()
    batches = loader(images, num_workers=1)
    values(batches.only([0, 1, 2]))
    assert values(batches) == values(loader(images))
    assert values(batches) == values(loader(images))


def test_no_more_is_kept_than_there_is_room_for():
    kept = KeptSamples(limit=3000)
    for position in range(10):
        kept.keep(position, torch.zeros(100))
    assert kept.has(range(3)) and not kept.has(range(10))


def test_a_view_takes_no_more_than_itself():
    kept, every = KeptSamples(limit=20000), torch.zeros(100, 100)
    for position in range(10):
        kept.keep(position, {'inputs': every[position]})
    assert kept.has(range(10))


@pytest.mark.parametrize('sample', [lambda: 0, (x for x in 'ab')])
def test_what_cannot_be_kept_is_read_again(sample):
    kept = KeptSamples()
    kept.keep(0, sample)
    assert not kept.has([0])
