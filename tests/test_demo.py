"""The shipped demo models, quantized end to end on a few images of their kind."""

import subprocess
import sys
from pathlib import Path

import pytest

from iptq_mm.engine.run.pipeline import quantize_and_compare

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Few demo images and the shipped weights, laid out as the configs expect."""
    path = tmp_path_factory.mktemp('demo')
    tool = [sys.executable, ROOT / 'tools/make_demo_data.py', '--out', 'data/demo']
    subprocess.run([*tool, '--train', '12', '--val', '8'], cwd=path, check=True)
    (path / 'demo').symlink_to(ROOT / 'demo')
    return path


def quantize(folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    options = {
        'quantization.calibration.num_images': 12,
        'quantization.calibration.analysis_images': 4,
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
    }
    config = ROOT / f'configs/demo/{name}.py'
    return quantize_and_compare(config, work_dir=f'work/{name}', cfg_options=options)


def test_detector(folder, monkeypatch):
    """A trained detector finds the objects, and its integer self finds the same."""
    results = quantize(folder, monkeypatch, 'swin_cascade_demo_w8a8')
    assert results['float']['coco/bbox_mAP'] > 0.5
    for metric in ('coco/bbox_mAP', 'coco/segm_mAP'):
        # 8 images: one changed score moves the AP by a point or two.
        assert abs(results['integer'][metric] - results['float'][metric]) < 0.04
    # 31 to 47 dB on the 200 validation images with 128 calibration images.
    assert min(results['output_sqnr_db'].values()) > 24
    assert len(results['output_sqnr_db']) == 4
    assert (folder / 'work/swin_cascade_demo_w8a8/functions.png').exists()


def test_literal_constants_are_worse(folder, monkeypatch):
    """What the method is for: I-BERT's published constants on 8-bit inputs."""
    results = quantize(folder, monkeypatch, 'swin_cascade_demo_literal-ibert-w8a8')
    assert min(results['output_sqnr_db'].values()) < 10
    assert set(results['assignment'].values()) == {
        'i_gelu(literal=True)',
        'i_softmax(literal=True)',
        'ibert_layernorm(literal=True)',
    }


@pytest.mark.parametrize('name', ['swin_demo_w8a8', 'vit_demo_w8a8'])
def test_classifier(folder, monkeypatch, name):
    """Backbone to logits in integers: 35 dB and 99 % with full calibration."""
    results = quantize(folder, monkeypatch, name)
    assert results['output_sqnr_db']['head:0'] > 24
    assert results['agreement'] > 0.9
