"""Images of the evaluation that calibration gave no idea of."""

import shutil

import cv2
import numpy as np
import pytest
import tiny_models
import torch
from region_models import Net, vit
from torch import nn

from iptq_mm.engine.evaluate.pixel_watch import PixelWatch
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.pixels import Pixels, take_pixels

pytestmark = pytest.mark.usefixtures('one_thread')


def watched() -> tuple[nn.Module, PixelWatch]:
    model = Net(vit())
    take_pixels(model.backbone, Pixels((127.5,) * 3, (64.0,) * 3))
    return model, PixelWatch(model, ['backbone'])


@torch.no_grad()
def test_counts():
    model, watch = watched()
    x = torch.zeros(3, 3, 32, 32)
    model(x)
    assert watch.finish() == {}
    model, watch = watched()
    model(x)
    x[1, 2, 5, 5] = 2.1
    model(x)
    assert watch.finish() == {'backbone': [1, 6]}
    model(x)  # it has ended
    assert not model.backbone._forward_pre_hooks


def test_what_takes_no_pixels_is_not_watched():
    model = Net(vit())
    assert PixelWatch(model, ['backbone']).finish() == {}


@pytest.mark.parametrize('backend', [None, 'reference'])
@pytest.mark.slow
def test_a_run_says_so(tiny_data, tmp_path, backend):
    """Calibrated on images of 8 bits, evaluated on some of 16."""
    data = tmp_path / 'data'
    shutil.copytree(tiny_data / 'classification', data)
    for path in sorted(data.glob('val/*/0.png')):
        cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 257)
    cfg = tiny_models.vit(data, dims=32)
    cfg.quantization.pixels = True
    cfg.test_dataloader.dataset.pipeline[0].color_type = 'unchanged'
    config, _ = tiny_models.write(cfg, tmp_path, 'cfg')
    work_dir = str(tmp_path / 'run')
    results = quantize_and_compare(config, work_dir=work_dir, backend=backend)
    assert results['clipped_images'] == {'backbone': [3, 6]}
    log = next((tmp_path / 'run').rglob('*.log')).read_text()
    assert 'pixels as input: backbone: yes' in log
    assert "region 'backbone' clips 3 of 6 evaluated images to 8-bit pixels" in log


@pytest.mark.slow
def test_nothing_is_said_where_all_is_well(tiny_data, tmp_path):
    cfg = tiny_models.vit(tiny_data / 'classification', dims=32)
    cfg.quantization.pixels = True
    config, _ = tiny_models.write(cfg, tmp_path, 'cfg')
    results = quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
    assert 'clipped_images' not in results
