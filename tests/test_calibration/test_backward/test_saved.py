"""What a pass backward needs, kept in memory and in files."""

import pytest
import torch

from iptq_mm.calibration.backward import Saved
from iptq_mm.calibration.backward import saved as module


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch):
    monkeypatch.setattr(module, '_SMALL', 0)


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


@pytest.mark.parametrize('limit', [0, 1])
def test_gradients_are_the_same(limit):
    x, weight = torch.randn(64, 32, requires_grad=True), torch.randn(32, 32)
    expected, saved = gradients(None, x, weight), Saved(limit)
    for _ in range(2):
        before = saved.memory.spilled
        found = gradients(saved, x, weight)
        assert all(map(torch.equal, expected, found))
        # What exp made, and what sin and GELU got; not the weight.
        spilled = 3 * x.numel() * 4 if limit == 0 else 0
        assert saved.memory.spilled - before == spilled
        assert saved.memory.used == 0


def test_small_tensors_have_no_file(monkeypatch):
    monkeypatch.setattr(module, '_SMALL', 2**10)
    saved = Saved(0)
    assert saved.keep(torch.ones(3)).read().tolist() == [1, 1, 1]
    assert not saved.memory.spilled
