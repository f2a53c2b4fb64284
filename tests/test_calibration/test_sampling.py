"""Evenly spread rows of large values."""

import pytest
import torch

from iptq_mm.calibration import sampling
from iptq_mm.calibration.sampling import (
    drawn_rows,
    moment_rows,
    some_maps,
    spread_rows,
    window_strides,
)


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


def test_the_more_images_the_fewer_rows_of_each():
    assert moment_rows(64, 1) == 2**14  # no more of any image
    assert moment_rows(64, 8) == 2**13  # 2**16 of all
    assert moment_rows(4096, 32) == 2**13  # 64 for each input
    assert moment_rows(64, 100000) == 2**9  # no fewer of any image


def test_few_rows_are_not_drawn():
    x = torch.arange(24.0).view(4, 2, 3)
    assert drawn_rows(x, 2, 4) is x and drawn_rows(x[:0], 1, 4).shape == (0, 2, 3)


def test_each_image_gives_the_same_rows():
    x = torch.arange(2.0 * 5 * 49 * 1).view(2 * 5, 49, 1)
    rows = drawn_rows(x, 2, 50)
    assert rows.shape == (2, 50, 1)
    assert torch.equal(rows[1], rows[0] + 5 * 49)
    # From all windows, and from other places in each of them.
    places = rows[0, :, 0].long()
    assert len({*places.tolist()}) == 50 and {*(places // 49).tolist()} == {*range(5)}
    assert len({*(places % 49).tolist()}) > 25
    # Alone, an image gives what it gives in a batch.
    assert torch.equal(drawn_rows(x[:5], 1, 50)[0], rows[0])


@pytest.mark.parametrize(
    'maps, positions, limit, strides',
    [
        (1, 500, 500, (1, 1, 1)),
        (1, 501, 500, (1, 1, 2)),
        (1, 2000, 500, (1, 2, 2)),
        (1, 2001, 500, (1, 2, 3)),
        (20, 49, 500, (2, 1, 1)),  # 490
        (100, 196, 500, (12, 2, 2)),  # 9 maps of 49
        (7, 196, 500, (1, 2, 2)),
        (0, 196, 500, (1, 1, 1)),  # a head without proposals
    ],
)
def test_strides_over_windows(maps, positions, limit, strides):
    assert window_strides(maps, positions, limit) == strides


def test_maps_are_left_out_of_each_image():
    x = torch.arange(6.0).view(6, 1, 1, 1)
    assert some_maps(x, 2, 2).flatten().tolist() == [0, 2, 3, 5]
    assert some_maps(x, 2, 1) is x
