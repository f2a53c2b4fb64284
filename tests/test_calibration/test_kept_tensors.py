"""Tensors that are kept in memory or on the disk."""

from functools import partial

import pytest
import torch

from iptq_mm.calibration.kept_tensors import Memory


@pytest.mark.parametrize('copy', [True, False])
@pytest.mark.parametrize('limit', [0, 1])
@pytest.mark.parametrize(
    'tensor',
    [
        torch.arange(24, dtype=torch.int16).view(2, 3, 4),
        torch.randn(5, 4).t(),  # not contiguous
        torch.randn(1, 4).expand(3, 4),
        torch.randn(3).bfloat16(),
        torch.tensor(3.5),
        torch.tensor([True, False]),
        torch.zeros(0, 3),
    ],
)
def test_gives_back_what_it_was_given(limit, tensor, copy):
    kept = Memory(limit).keep(tensor, copy)
    found = kept.read()
    assert found.dtype == tensor.dtype and found.shape == tensor.shape
    assert torch.equal(found, tensor)


def test_keeps_a_copy():
    for limit in (0, 1):
        x = torch.ones(3)
        kept = Memory(limit).keep(x)
        x.zero_()
        assert kept.read().tolist() == [1, 1, 1]


def test_without_a_copy_the_order_in_memory_stays():
    x = torch.randn(2, 3, 4, 5).permute(0, 2, 3, 1)
    for limit in (0, 1):
        assert Memory(limit).keep(x, copy=False).read().stride() == x.stride()
        assert Memory(limit).keep(x).read().is_contiguous()
    assert Memory(1).keep(x, copy=False).read().data_ptr() == x.data_ptr()


def test_a_full_disk_is_a_message(monkeypatch):
    monkeypatch.setattr(
        'tempfile.TemporaryFile', partial(open, '/dev/full', 'w+b', buffering=0)
    )
    with pytest.raises(OSError, match='MiB .*TMPDIR .*gradient_memory_mb'):
        Memory(0).keep(torch.zeros(2**20))


def test_beyond_the_limit_is_the_disk():
    memory, size = Memory(1), 2**20
    first = memory.keep(torch.zeros(size // 2, dtype=torch.uint8))
    second = memory.keep(torch.ones(size // 2, dtype=torch.uint8))
    assert memory.used == memory.peak == size and not memory.spilled
    third = memory.keep(torch.full((7,), 3, dtype=torch.uint8))
    assert memory.spilled == 7 and memory.used == size
    del first
    assert memory.used == size // 2
    fourth = memory.keep(torch.zeros(size // 2, dtype=torch.uint8))
    assert memory.spilled == 7 and memory.peak == size
    assert bool(second.read().all()) and third.read().tolist() == [3] * 7
    del second, third, fourth
    assert memory.used == 0


def test_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.setattr('tempfile.tempdir', None)
    kept = Memory(0).keep(torch.arange(1000))
    assert not list(tmp_path.iterdir())
    assert kept.read().sum() == 499500
