"""Calibration images that can tell nothing are warned of."""

import logging

import pytest
import torch

from iptq_mm.engine.quantize import seen_images
from iptq_mm.engine.quantize.seen_images import SeenImages, images_in


@pytest.fixture
def warnings(monkeypatch):
    found = []

    def say(message, logger, level):
        assert level == logging.WARNING
        found.append(message)

    monkeypatch.setattr(seen_images, 'print_log', say)
    return found


def _look(*batches):
    seen = SeenImages()
    assert len(list(seen.each(batches))) == len(batches)
    seen.warn()


def _batch(*values, dtype=torch.uint8):
    return {'inputs': [v.to(dtype) for v in values], 'data_samples': [None]}


def _noise(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 8, 8), generator=generator)


def test_usual_images(warnings):
    _look(_batch(_noise(0), _noise(1)), _batch(_noise(2)))
    _look(_batch(_noise(0)))
    _look()
    assert warnings == []


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int32, torch.float32])
def test_black_images(warnings, dtype):
    black = torch.zeros(3, 8, 8)
    _look(_batch(_noise(0), black, dtype=dtype), _batch(_noise(2), dtype=dtype))
    assert len(warnings) == 1 and '1 of 3 calibration images' in warnings[0]


def test_the_same_image_again_and_again(warnings):
    _look(_batch(_noise(0), _noise(0)), _batch(_noise(0)))
    assert len(warnings) == 1 and 'all 3 calibration images are the same' in warnings[0]


def test_images_all_black(warnings):
    _look(*[_batch(torch.zeros(3, 8, 8))] * 2)
    assert len(warnings) == 2


def test_images_of_stacked_batches():
    assert len(images_in({'inputs': torch.zeros(4, 3, 8, 8)})) == 4
    assert len(images_in(torch.zeros(2, 3, 8, 8))) == 2
    assert images_in({'inputs': torch.zeros(4, 3)}) == []
