"""tools/make_calibration_images.py, and quantizing with what it makes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from iptq_mm.datasets.synthetic import NoiseImages
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.engine.synthetic import images as synthetic_images
from iptq_mm.engine.synthetic.folder import LIST
from iptq_mm.engine.synthetic.images import make_calibration_images
from iptq_mm.engine.synthetic.optimization import optimize_images

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/make_calibration_images.py'

pytestmark = pytest.mark.usefixtures('one_thread')


def files(root):
    return {path.name: path.read_bytes() for path in root.iterdir()}


def pixels(root):
    return np.stack([cv2.imread(str(path)) for path in sorted(root.glob('*.png'))])


def listed(root):
    return json.loads((root / LIST).read_text())


def calibrated_on(config, root, base, folder):
    """Results of a config that calibrates as ``configs/_base_/calibration`` says."""
    cfg = Config.fromfile(config)
    loader = Config.fromfile(ROOT / f'configs/_base_/calibration/{base}.py')
    (loader,) = loader.to_dict().values()
    loader['dataset'].update(root)
    cfg.quantization.calibration.dataloader = loader
    cfg.dump(folder / 'config.py')
    return quantize_and_compare(folder / 'config.py', work_dir=str(folder / 'w'))


def test_classifier(tool, vit_run, tmp_path):
    out = tmp_path / 'made'
    options = ['--images', 5, '--steps', 3, '--seed', 2, '--batch-size', 2]
    ran = tool(vit_run.config, vit_run.checkpoint, '--out', out, *options)
    assert ran.code == 0 and str(out) in ran.out
    assert pixels(out).shape == (5, 32, 32, 3)
    assert {item['gt_label'] for item in listed(out)['data_list']} == {0, 1, 2}
    assert [path.name for path in tmp_path.iterdir()] == ['made']
    root = dict(data_root=str(out))
    results = calibrated_on(vit_run.config, root, 'optimized', tmp_path)
    assert results['output_sqnr_db']['head:0'] > 10


def test_detector(tool, detector_run, tmp_path):
    out = tmp_path / 'made'
    options = ['--images', 2, '--steps', 2, '--size', 64, 96]
    assert tool(detector_run.config, '--out', out, *options).code == 0
    assert pixels(out).shape == (2, 64, 96, 3)
    assert not any('gt_label' in item for item in listed(out)['data_list'])
    root = dict(data_root=str(out))
    results = calibrated_on(detector_run.config, root, 'optimized_det', tmp_path)
    assert min(results['output_sqnr_db'].values()) > 10


@pytest.mark.parametrize(
    ('name', 'base', 'size'),
    [
        ('vit_run', 'dead_leaves', (32, 32)),
        ('detector_run', 'dead_leaves_det', (64, 96)),
    ],
)
def test_dead_leaves_without_any_file(request, tmp_path, name, base, size):
    config = request.getfixturevalue(name).config
    results = calibrated_on(config, dict(size=size), base, tmp_path)
    assert min(results['output_sqnr_db'].values()) > 10


@pytest.mark.parametrize('name', ['vit_run', 'detector_run'])
def test_dead_leaves_in_the_place_of_the_training_set(request, tmp_path, name):
    """Its pipeline is then that of the evaluation, which begins with files."""
    cfg = Config.fromfile(request.getfixturevalue(name).config)
    size = (64, 96) if name == 'detector_run' else (32, 32)
    kind = 'iptq_mm.datasets.synthetic.NoiseImages'
    cfg.train_dataloader.dataset = dict(type=kind, num_images=4, size=size)
    cfg.dump(tmp_path / 'config.py')
    results = quantize_and_compare(tmp_path / 'config.py', work_dir=str(tmp_path / 'w'))
    assert min(results['output_sqnr_db'].values()) > 10


def test_starts_in_the_colors_of_the_model(vit_run, tmp_path):
    def start(order, **options):
        cfg = Config.fromfile(vit_run.config)
        cfg.data_preprocessor.update(
            mean=[50.0, 100, 150], std=[9.0, 10, 11], to_rgb=order == 'rgb'
        )
        cfg.dump(tmp_path / 'config.py')
        options = dict(out=tmp_path / order, num_images=3, steps=0, **options)
        make_calibration_images(tmp_path / 'config.py', **options)
        return pixels(tmp_path / order)

    def sampled(**options):
        data = NoiseImages(3, (32, 32), **options)
        return [data.image(i) for i in range(3)]

    rgb = dict(mean=[50, 100, 150], std=[9, 10, 11])
    bgr = dict(mean=[150, 100, 50], std=[11, 10, 9])
    assert np.array_equal(start('rgb'), sampled(**rgb))
    assert np.array_equal(start('bgr'), sampled(**bgr))
    white = sampled(kind='noise', alpha=0.0, **rgb)
    assert np.array_equal(start('rgb', start='noise'), white)


def test_an_interrupted_run_goes_on(vit_run, tmp_path, monkeypatch):
    def make(name):
        out = tmp_path / name
        options = dict(num_images=5, steps=2, batch_size=2)
        return files(make_calibration_images(vit_run.config, out=out, **options))

    whole = make('whole')
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return optimize_images(*args, **kwargs)

    monkeypatch.setattr(synthetic_images, 'optimize_images', interrupted)
    with pytest.raises(KeyboardInterrupt):
        make('part')
    assert len(listed(tmp_path / 'part')['data_list']) == 2
    assert make('part') == whole
    assert len(calls) == 4  # nothing was made twice
    assert make('part') == whole and len(calls) == 4


def test_replaces_its_own_folder_only(tool, vit_run, tmp_path):
    def make(seed, out=tmp_path / 'made'):
        options = ['--images', 2, '--steps', 1, '--seed', seed]
        return tool(vit_run.config, '--out', out, *options)

    assert make(0).code == 0
    first = files(tmp_path / 'made')
    assert make(1).code == 0
    second = files(tmp_path / 'made')
    assert first.keys() == second.keys() and first['00000.png'] != second['00000.png']
    assert listed(tmp_path / 'made')['metainfo']['seed'] == 1
    assert make(0).code == 0 and files(tmp_path / 'made') == first
    (tmp_path / 'made' / LIST).unlink()
    ran = make(0)
    assert ran.code == 1 and 'holds something other' in ran.err
    assert (tmp_path / 'made/00000.png').exists()


def test_other_weights_make_other_images(vit_run, tmp_path):
    def make(checkpoint):
        options = dict(out=tmp_path / 'made', num_images=1, steps=5)
        made = make_calibration_images(vit_run.config, checkpoint, **options)
        return listed(made)['metainfo']['model'], pixels(made)

    weights = torch.load(vit_run.checkpoint)
    state = weights.get('state_dict', weights)
    state['head.layers.head.weight'] = 50 * state['head.layers.head.weight']
    torch.save(weights, tmp_path / 'other.pth')
    (first, image), (second, other) = make(None), make(str(tmp_path / 'other.pth'))
    assert first != second and not np.array_equal(image, other)


def test_another_setting_of_the_model_makes_other_images(vit_run, tmp_path):
    def make(**options):
        made = make_calibration_images(
            vit_run.config,
            out=tmp_path / 'made',
            num_images=1,
            steps=0,
            cfg_options=options,
        )
        return pixels(made)

    first = make()
    second = make(**{'data_preprocessor.mean': [90.0, 80.0, 70.0]})
    assert not np.array_equal(first, second)


def test_more_images_than_classes(vit_run, tmp_path):
    make_calibration_images(vit_run.config, out=tmp_path / 'o', num_images=7, steps=0)
    labels = [item['gt_label'] for item in listed(tmp_path / 'o')['data_list']]
    assert sorted(map(labels.count, range(3))) == [2, 2, 3]


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
        (['{vit}', '--images', '0'], 'use at least 1'),
        (['{vit}', '--steps', '-1'], 'use at least 1'),
        (['{vit}', '--batch-size', '0'], 'batches of 0'),
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
    arguments = [a.format(**known) for a in arguments]
    ran = tool(*arguments, '--out', tmp_path / 'out')
    assert ran.code == 1 and said in ran.mistake
    assert not (tmp_path / 'out').exists()
