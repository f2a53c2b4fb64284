"""Order and augmentation of training images depend on their place alone."""

import pickle
import random

import numpy as np
import pytest
import torch
from mmengine import dist
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset

from iptq_mm.engine.train.images import SeededBatches, SeededImages, seed_random, seeded
from iptq_mm.engine.train.loops import EndlessBatches


class Noise(Dataset):
    """Each image is its index and three random numbers."""

    metainfo = {'classes': ('a',)}

    def __len__(self):
        return 7

    def __getitem__(self, index):
        drawn = [random.random(), np.random.rand(), float(torch.rand(()))]
        return torch.tensor([index, *drawn], dtype=torch.float64)


def _loader(size=2, workers=0, sampler=None):
    dataset = Noise()
    sampler = sampler or DefaultSampler(dataset, shuffle=True, seed=3)
    loader = DataLoader(dataset, batch_size=size, sampler=sampler, num_workers=workers)
    return seeded(loader, 5)


def _epoch(loader, epoch=0, first=0):
    loader.batch_sampler.skip(epoch * len(loader) + first)
    random.seed()
    return [batch.clone() for batch in loader]


def _same(a, b):
    return len(a) == len(b) and all(map(torch.equal, a, b))


def test_the_same_again_from_any_batch_on():
    whole = _epoch(_loader(), 2)
    assert len(whole) == 4
    for first in range(4):
        assert _same(_epoch(_loader(), 2, first), whole[first:])
    others = _epoch(_loader(), 3)
    assert not _same(others, whole)
    seen = torch.cat(whole)[:, 1:]
    assert len(seen.unique()) == seen.numel()


def test_the_same_in_workers():
    assert _same(_epoch(_loader(workers=2), 1), _epoch(_loader(), 1))


@pytest.mark.parametrize('ranks', [2, 3])
def test_the_same_images_on_several_processes(monkeypatch, ranks):
    whole = torch.cat(_epoch(_loader(size=ranks * 2)))
    parts = []
    for rank in range(ranks):
        monkeypatch.setattr(dist, 'get_dist_info', lambda rank=rank: (rank, ranks))
        sampler = DefaultSampler(Noise(), shuffle=True, seed=3)
        sampler.rank, sampler.world_size = rank, ranks
        sampler.num_samples = -(-7 // ranks)
        sampler.total_size = sampler.num_samples * ranks
        parts.append(torch.cat(_epoch(_loader(sampler=sampler))))
    together = torch.stack(parts, 1).flatten(0, 1)[:7]
    assert torch.equal(together, whole)


def test_epoch_after_epoch():
    loader = _loader()
    batches = EndlessBatches(loader)
    first = [next(batches) for _ in range(11)]
    again = EndlessBatches(_loader())
    again.skip_iter(6)
    assert _same([next(again) for _ in range(5)], first[6:])
    assert not _same(first[:4], first[4:8])


def test_an_endless_sampler():
    def batches():
        sampler = InfiniteSampler(Noise(), shuffle=True, seed=1)
        return EndlessBatches(_loader(sampler=sampler))

    one, other = batches(), batches()
    first = [next(one) for _ in range(9)]
    other.skip_iter(5)
    assert _same([next(other) for _ in range(4)], first[5:])


def test_what_the_loader_shows():
    loader = _loader()
    assert loader.dataset.metainfo == {'classes': ('a',)}
    assert not hasattr(loader.dataset, 'other')
    assert isinstance(pickle.loads(pickle.dumps(loader.dataset)), SeededImages)
    assert loader.batch_sampler.batch_size == 2 and len(loader.batch_sampler) == 4
    assert isinstance(loader.batch_sampler.sampler, DefaultSampler)
    plain = DataLoader(Noise(), batch_size=None)
    assert seeded(plain, 0) is plain


def test_seeds():
    states = []
    for numbers in [(1, 2), (1, 2), (2, 1)]:
        seed_random(*numbers)
        states.append([random.random(), np.random.rand(), float(torch.rand(()))])
    assert states[0] == states[1]
    assert not set(states[0]) & set(states[2])
    sampler = DefaultSampler(Noise(), shuffle=False)
    batches = SeededBatches(BatchSampler(sampler, 7, False), 0)
    (first,), (second,) = batches, batches
    assert [i for i, _ in first] == [i for i, _ in second] == list(range(7))
    assert len({s for _, s in first + second}) == 14
