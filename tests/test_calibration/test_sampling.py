"""Evenly spread rows of large values."""

import pytest
import torch

from iptq_mm.calibration import sampling
from iptq_mm.calibration.sampling import spread_rows


def test_small_values_are_whole():
    x = torch.arange(24.0).view(4, 2, 3).requires_grad_()
    rows = spread_rows(x, 2)
    assert torch.equal(rows, x.detach().view(2, 4, 3)) and not rows.requires_grad


@pytest.mark.parametrize('limit, kept', [(12, [0, 2, 4, 6]), (9, [0, 3, 6]), (1, [0])])
def test_rows_of_large_values_are_evenly_spread(monkeypatch, limit, kept):
    monkeypatch.setattr(sampling, 'MAX_ELEMENTS', limit)
    x = torch.arange(2 * 7 * 3.0).view(2, 7, 3)
    rows = spread_rows(x, 2)
    assert torch.equal(rows, x[:, kept]) and rows.is_contiguous()
