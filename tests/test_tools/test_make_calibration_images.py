"""tools/make_calibration_images.py, and quantizing with what it makes."""

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from iptq_mm.datasets.synthetic import NoiseImages
from iptq_mm.engine.run import quantize_and_compare
from iptq_mm.engine.synthetic_images import LIST, STAMP, make_calibration_images

TOOL = Path(__file__).parents[2] / 'tools/make_calibration_images.py'

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs the tool in this process; exit code and what it said."""
    spec = importlib.util.spec_from_file_location('make_calibration_images', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [TOOL.name, *map(str, arguments)])
        code = module.main()
        return code, capsys.readouterr()

    return run


def files(root):
    return {path.name: path.read_bytes() for path in root.iterdir()}


def pixels(root):
    return np.stack([cv2.imread(str(path)) for path in sorted(root.glob('*.png'))])


def test_makes_a_data_set_to_calibrate_on(tool, vit_run, tmp_path):
    out = tmp_path / 'made'
    options = ['--num-images', 5, '--steps', 3, '--seed', 2]
    code, said = tool(vit_run.config, vit_run.checkpoint, '--out', out, *options)
    assert code == 0 and str(out) in said.out
    assert pixels(out).shape == (5, 32, 32, 3)
    lines = [line.split() for line in (out / LIST).read_text().splitlines()]
    assert [name for name, _ in lines] == sorted(p.name for p in out.glob('*.png'))
    assert {int(label) for _, label in lines} == {0, 1, 2}
    assert [path.name for path in tmp_path.iterdir()] == ['made']

    cfg = Config.fromfile(vit_run.config)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    cfg.quantization.calibration.dataloader = dict(
        dataset=dict(
            type='CustomDataset', data_root=str(out), ann_file=LIST, pipeline=pipeline
        )
    )
    cfg.dump(tmp_path / 'config.py')
    results = quantize_and_compare(tmp_path / 'config.py', work_dir=str(tmp_path / 'w'))
    assert results['output_sqnr_db']['head:0'] > 10


def test_starts_with_dead_leaves_in_the_colors_of_the_model(vit_run, tmp_path):
    def start(order):
        cfg = Config.fromfile(vit_run.config)
        cfg.data_preprocessor.update(
            mean=[50.0, 100, 150], std=[9.0, 10, 11], to_rgb=order == 'rgb'
        )
        cfg.dump(tmp_path / 'config.py')
        out = tmp_path / order
        make_calibration_images(tmp_path / 'config.py', out=out, num_images=3, steps=0)
        return pixels(out)

    rgb = NoiseImages(3, (32, 32), mean=[50, 100, 150], std=[9, 10, 11], pipeline=[])
    bgr = NoiseImages(3, (32, 32), mean=[150, 100, 50], std=[11, 10, 9], pipeline=[])
    assert np.array_equal(start('rgb'), [rgb.image(i) for i in range(3)])
    assert np.array_equal(start('bgr'), [bgr.image(i) for i in range(3)])


def test_replaces_its_own_folder_only(tool, vit_run, tmp_path):
    def make(seed, out=tmp_path / 'made'):
        options = ['--num-images', 2, '--steps', 1, '--seed', seed]
        return tool(vit_run.config, '--out', out, *options)

    assert make(0)[0] == 0
    first = files(tmp_path / 'made')
    assert make(1)[0] == 0
    second = files(tmp_path / 'made')
    assert first.keys() == second.keys() and first['00000.png'] != second['00000.png']
    assert json.loads(second[STAMP])['seed'] == 1
    assert make(0)[0] == 0 and files(tmp_path / 'made') == first
    (tmp_path / 'made' / STAMP).unlink()
    code, said = make(0)
    assert code == 1 and 'holds something other' in said.err
    assert (tmp_path / 'made/00000.png').exists()
    assert not list(tmp_path.glob('.*'))


def test_more_images_than_classes(vit_run, tmp_path):
    make_calibration_images(vit_run.config, out=tmp_path / 'o', num_images=7, steps=0)
    labels = [line.split()[1] for line in (tmp_path / 'o' / LIST).open()]
    assert sorted(map(labels.count, '012')) == [2, 2, 3]


def test_size(vit_run, tmp_path):
    """A size of its own, which must suit the model."""
    out = tmp_path / 'out'
    size = (24, 40)
    make_calibration_images(vit_run.config, out=out, num_images=1, steps=0, size=size)
    assert pixels(out).shape == (1, 24, 40, 3)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['nothing.py'], 'there is no config nothing.py'),
        (['{vit}', 'nothing.pth'], 'there is no checkpoint nothing.pth'),
        (['{vit}', '{swin_checkpoint}'], 'cannot be loaded'),
        (['{vit}', '--num-images', '0'], 'use at least 1'),
        (['{vit}', '--steps', '-1'], 'use at least 1'),
        (['{detector}', '--size', '64', '64'], 'no logits of classes'),
        (['{detector}'], 'give --size HEIGHT WIDTH'),
        (['{vit}', '--cfg-options', 'load_from='], 'no checkpoint'),
    ],
)
def test_mistakes(tool, request, tmp_path, arguments, said):
    names = {'vit': 'vit_run', 'swin': 'swin_run', 'detector': 'detector_run'}
    text = ' '.join(arguments)
    runs = {k: request.getfixturevalue(v) for k, v in names.items() if '{' + k in text}
    known = {k: run.config for k, run in runs.items()}
    known |= {f'{k}_checkpoint': run.checkpoint for k, run in runs.items()}
    code, output = tool(
        *(a.format(**known) for a in arguments), '--out', tmp_path / 'out'
    )
    assert code == 1
    lines = [line for line in output.err.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1 and said in lines[0]
    assert not (tmp_path / 'out').exists()


def test_detector_calibrated_on_leaves(detector_run, tmp_path):
    cfg = Config.fromfile(detector_run.config)
    base = Path(__file__).parents[2] / 'configs/_base_/calibration/dead_leaves_det.py'
    loader = Config.fromfile(base).dead_leaves
    loader.dataset.size = (64, 96)
    cfg.quantization.calibration.dataloader = loader
    cfg.dump(tmp_path / 'config.py')
    results = quantize_and_compare(tmp_path / 'config.py', work_dir=str(tmp_path / 'w'))
    assert min(results['output_sqnr_db'].values()) > 10


def test_images_are_saved_without_loss(vit_run, tmp_path, monkeypatch):
    from iptq_mm.engine import synthetic_images

    kept = []
    original = synthetic_images.optimize_images

    def keeping(*args, **kwargs):
        kept.append(original(*args, **kwargs))
        return kept[0]

    monkeypatch.setattr(synthetic_images, 'optimize_images', keeping)
    make_calibration_images(vit_run.config, out=tmp_path / 'o', num_images=2, steps=1)
    saved = torch.from_numpy(pixels(tmp_path / 'o')).permute(0, 3, 1, 2)
    assert torch.equal(saved, kept[0])
