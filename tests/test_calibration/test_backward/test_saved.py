"""What a pass backward needs, kept in memory and in a file."""

import io

import pytest
import torch

from iptq_mm.calibration.backward import Saved
from iptq_mm.calibration.backward import saved as module


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch):
    monkeypatch.setattr(module, '_SMALL', 0)


@pytest.mark.parametrize('limit', [0, 1])
@pytest.mark.parametrize(
    'tensor',
    [
        torch.arange(24, dtype=torch.int16).view(2, 3, 4),
        torch.randn(5, 4).t(),  # not contiguous
        torch.randn(1, 4).expand(3, 4),
        torch.tensor(3.5),
        torch.tensor([True, False]),
        torch.zeros(0, 3),
        torch.randn(3).bfloat16(),  # which files do not take
    ],
)
def test_gives_back_what_it_was_given(limit, tensor):
    found = Saved(limit).keep(tensor)()
    assert found.dtype == tensor.dtype and found.shape == tensor.shape
    assert torch.equal(found, tensor)


def test_keeps_the_order_in_memory():
    x = torch.randn(2, 3, 4, 5).permute(0, 2, 3, 1)
    assert Saved(0).keep(x)().stride() == x.stride()


def gradients(saved, x, weight):
    if saved:
        saved.never(weight)
        saved.begin()
    try:
        hidden = (x @ weight).exp()
        y = torch.nn.functional.gelu(hidden.sin() @ weight)
    finally:
        if saved:
            saved.end()
    return [torch.autograd.grad(y.sum(), [x], retain_graph=i == 0)[0] for i in (0, 1)]


def test_gradients_are_the_same_and_the_file_is_emptied():
    x, weight = torch.randn(64, 32, requires_grad=True), torch.randn(32, 32)
    expected = gradients(None, x, weight)
    for limit in (0, 1):
        saved = Saved(limit)
        for _ in range(2):
            before = saved.spilled
            found = gradients(saved, x, weight)
            assert all(map(torch.equal, expected, found))
            # What exp made, and what sin and GELU got; not the weight.
            spilled = 3 * x.numel() * 4 if limit == 0 else 0
            assert saved.spilled - before == spilled
        if not limit:
            assert saved._file.seek(0, io.SEEK_END) == 0


def test_the_limit_counts_what_is_kept_now():
    saved, numbers = Saved(1), torch.zeros(2**17)  # half a MiB
    first, second = saved.keep(numbers), saved.keep(numbers + 1)
    assert not saved.spilled
    third = saved.keep(numbers + 2)
    assert saved.spilled == 2**19
    del first
    fourth = saved.keep(numbers + 3)
    assert saved.spilled == 2**19
    assert [int(kept()[-1]) for kept in (second, third, fourth)] == [1, 2, 3]


def test_what_is_in_the_file_does_not_change():
    x = torch.ones(5)
    kept = Saved(0).keep(x)
    x.zero_()
    assert kept().tolist() == [1] * 5


def test_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    kept = Saved(0).keep(torch.arange(1000))
    assert not list(tmp_path.iterdir())
    assert kept().sum() == 499500


def test_a_full_disk_is_a_message():
    saved = Saved(0)
    saved._file = open('/dev/full', 'w+b', buffering=0)  # noqa: SIM115
    with pytest.raises(OSError, match='MiB .*TMPDIR .*gradient_memory_mb'):
        saved.keep(torch.zeros(2**20))
