"""tools/audit.py: on what tools/quantize.py wrote, and on wrong input."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from iptq_mm.registry import FUNCTIONS

TOOL = Path(__file__).parents[2] / 'tools/audit.py'

pytestmark = pytest.mark.usefixtures('one_thread')


def test_integer_models_hold(tool, run, tmp_path):
    code, out, err = tool(run.folder / 'integer.py', '--json', 'audit.json')
    assert code == 0, out[:2000] + err
    data = json.loads((tmp_path / 'audit.json').read_text())
    assert data['holds'] and not data['findings']
    plans = json.loads((run.folder / 'plan.json').read_text())
    assert {program['region'] for program in data['regions']} == set(plans)
    chosen = {
        site['site']: site['function']
        for program in data['regions']
        for site in program['sites']
        if site['function']
    }
    expected = {k.partition(':')[2]: v for k, v in run.results['assignment'].items()}
    assert chosen == expected
    assert '**Holds**' in out and '## What stays float' in out


def test_what_stays_float_in_a_detector(tool, detector_run, tmp_path):
    code, _, _ = tool(detector_run.folder / 'integer.py', '--json', 'audit.json')
    assert code == 0
    outside = json.loads((tmp_path / 'audit.json').read_text())['outside']
    parts = {part['path']: part for part in outside}
    assert parts['data_preprocessor']['type'] == 'DetDataPreprocessor'
    assert {'sub', 'div'} & set(parts['data_preprocessor']['operations'])
    assert parts['neck']['layers']['Conv2d'] == 8
    assert 'nms' in parts['rpn_head']['helpers']
    assert parts['roi_head']['helpers'] == ['DeltaXYWHBBoxCoder', 'nms']
    assert parts['roi_head']['layers']['RoIAlign'] >= 1
    assert parts['rpn_head']['parameters'] and 'backbone' not in parts


def test_all_heads_run_whatever_the_image(tool, detector_run, tmp_path):
    cfg = Config.fromfile(detector_run.folder / 'integer.py')
    cfg.model.test_cfg.rcnn.score_thr = 0.99
    cfg.dump(tmp_path / 'strict.py')
    code, _, _ = tool(
        'strict.py', detector_run.folder / 'integer.pth', '--json', 'audit.json'
    )
    assert code == 0
    outside = json.loads((tmp_path / 'audit.json').read_text())['outside']
    (head,) = (part for part in outside if part['path'] == 'roi_head')
    assert head['layers']['ConvTranspose2d'] == 1


def test_size_of_the_image(tool, detector_run, tmp_path):
    config = detector_run.folder / 'integer.py'
    code, _, _ = tool(config, '--shape', 64, 96, '--json', 'audit.json')
    assert code == 0
    (region,) = json.loads((tmp_path / 'audit.json').read_text())['regions']
    assert region['inputs'] == [[1, 3, 64, 96]]


def test_report_as_a_file(tool, vit_run, tmp_path):
    config = vit_run.folder / 'integer.py'
    code, out, _ = tool(config, '--markdown', 'report/audit.md')
    assert code == 0
    report = (tmp_path / 'report/audit.md').read_text()
    assert report.startswith('# Audit of ') and out.strip().endswith(report.strip())


def test_a_float_config_is_quantized_first(tool, vit_run, tmp_path):
    code, out, err = tool(
        vit_run.config, '--cfg-options', 'quantization.regions=[backbone]'
    )
    assert code == 0, err
    assert not list(tmp_path.iterdir())
    assert '## Region backbone for input 1x3x32x32' in out


def test_a_checkpoint_that_was_tampered_with(tool, vit_run, tmp_path):
    """One weight is a float again, or is too large for the plan's accumulators."""
    config, path = vit_run.folder / 'integer.py', vit_run.folder / 'integer.pth'
    checkpoint = torch.load(path, weights_only=True)
    name = 'backbone.layers.0.ffn.layers.0.0.weight'
    weight = checkpoint['state_dict'][name]
    checkpoint['state_dict'][name] = weight.float()
    torch.save(checkpoint, 'float.pth')
    code, _, err = tool(config, 'float.pth')
    assert code == 2 and f"no integers for '{name}'" in err


def through_floats(self, q, constants):
    return (q * 0.5).round().long()


def overflowing(self, q, constants):
    return (q.long() << 50) * q


@pytest.mark.parametrize(
    ('planted', 'problem'),
    [
        (through_floats, 'aten.mul.Tensor: makes a tensor of floats (torch.float32)'),
        (overflowing, 'aten.bitwise_left_shift.Tensor_Scalar: torch.int64 does not'),
    ],
)
def test_a_planted_operation(tool, vit_run, monkeypatch, planted, problem):
    """What a site computes is looked at, not what it is called."""
    site, name = next(
        (site.partition(':')[2], name)
        for site, name in vit_run.results['assignment'].items()
        if 'softmax' in site
    )
    monkeypatch.setattr(FUNCTIONS.get(name.partition('(')[0]), 'integer', planted)
    code, out, err = tool(vit_run.folder / 'integer.py')
    assert code == 1 and '**Does not hold**' in out
    assert f'error: backbone: {site}: {problem}' in err


@pytest.mark.parametrize('what', ['config', 'checkpoint'])
def test_missing_files(tool, vit_run, what):
    arguments = ['nothing.py'] if what == 'config' else [
        vit_run.folder / 'integer.py', 'nothing.pth'
    ]  # fmt: skip
    code, out, err = tool(*arguments)
    assert code == 2 and not out
    assert f'error: there is no {what} nothing' in err


def test_a_config_that_is_not_quantized(tool, vit_run, tmp_path):
    cfg = Config.fromfile(vit_run.config)
    cfg.pop('quantization')
    cfg.dump(tmp_path / 'plain.py')
    code, _, err = tool('plain.py')
    assert code == 2 and 'has no quantization dict' in err


def test_a_pipeline_that_makes_no_example(tool, vit_run, tmp_path):
    cfg = Config.fromfile(vit_run.folder / 'integer.py')
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Resize', scale='wrong'))
    cfg.dump(tmp_path / 'changed.py')
    code, _, err = tool('changed.py', vit_run.folder / 'integer.pth')
    assert code == 2 and 'name its size with --shape' in err
    code, out, _ = tool('changed.py', vit_run.folder / 'integer.pth', '--shape', 32, 32)
    assert code == 0 and '1x3x32x32' in out


def test_without_the_test_data(tool, detector_run, tmp_path):
    cfg = Config.fromfile(detector_run.folder / 'integer.py')
    cfg.test_dataloader.dataset.data_root = 'nowhere'
    cfg.test_dataloader.dataset.ann_file = 'nowhere.json'
    cfg.dump(tmp_path / 'moved.py')
    code, out, _ = tool('moved.py', detector_run.folder / 'integer.pth')
    # 480x640, resized to fit 64x96 and padded to a multiple of 32.
    assert code == 0 and '## Region backbone for input 1x3x64x96' in out
