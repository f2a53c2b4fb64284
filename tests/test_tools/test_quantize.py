"""tools/quantize.py: its options, and what it says to wrong input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mmengine
import pytest
import tiny_runs
import torch
from mmengine.config import Config

TOOL = Path(__file__).parents[2] / 'tools/quantize.py'

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def refused(tool):
    """Runs the tool with wrong input; what it says."""

    def run(*arguments):
        ran = tool(*arguments)
        assert ran.code == 1 and not list(Path().rglob('plan.json'))
        return ran.mistake

    return run


@pytest.fixture
def changed(vit_run, tmp_path):
    """Writes a changed config of the tiny ViT."""

    def write(change):
        cfg = Config.fromfile(vit_run.config)
        change(cfg)
        cfg.dump(tmp_path / 'changed.py')
        return tmp_path / 'changed.py'

    return write


def test_options(tool, vit_run, tmp_path):
    arguments = [vit_run.config, vit_run.checkpoint, '--work-dir', 'there']
    options = ['--cfg-options', 'quantization.weight.bits=6']
    assert tool(*arguments, '--out', 'predictions.pkl', *options).code == 0
    plan = json.loads((tmp_path / 'there/plan.json').read_text())
    weight = plan['backbone']['parameters']['layers.0.attn.qkv.weight']
    assert weight['bits'] == 6
    predictions = mmengine.load(tmp_path / 'predictions.pkl')
    assert len(predictions) == 6 and 'pred_score' in predictions[0]
    assert not tiny_runs.same(predictions, vit_run.predictions)
    assert tool(*arguments, '--resume', *options).code == 0
    logs = ''.join(p.read_text() for p in (tmp_path / 'there').rglob('*.log'))
    assert 'resuming after observe and analyse' in logs


def test_default_work_dir(tool, vit_run, tmp_path):
    options = ['--cfg-options', 'quantization.regions=backbone']
    assert tool(vit_run.config, *options).code == 0
    folder = tmp_path / 'work_dirs' / Path(vit_run.config).stem
    assert (folder / 'integer.py').exists()
    assert list(json.loads((folder / 'plan.json').read_text())) == ['backbone']


@pytest.mark.slow
def test_as_a_command(detector_run, tmp_path):
    """End to end in a process of its own, and its own words on a mistake."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    # Native counts what it clips in some images only, unless it is asked for all.
    options = ['--work-dir', tmp_path, '--cfg-options', 'test_cfg.count_every=1']
    command = [sys.executable, TOOL, detector_run.config, *options]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'written to' in done.stdout and 'Traceback' not in done.stderr
    results = json.loads((tmp_path / 'results.json').read_text())
    assert 'the integer model is evaluated by native' in done.stdout
    assert {**results, 'seconds': 0} == {**detector_run.results, 'seconds': 0}
    assert 'native' not in (tmp_path / 'integer.py').read_text()


def test_missing_config(refused):
    assert 'there is no config nothing.py' in refused('nothing.py')


def test_config_without_quantization(refused, changed):
    message = refused(changed(lambda cfg: cfg.pop('quantization')))
    assert 'has no quantization dict: inherit one of' in message


@pytest.mark.parametrize('key', ['model', 'test_dataloader', 'test_evaluator'])
def test_config_without_a_part(refused, changed, key):
    assert f'has no {key}' in refused(changed(lambda cfg: cfg.pop(key)))


def test_checkpoints(refused, changed, vit_run, swin_run, tmp_path):
    config = vit_run.config
    assert 'there is no checkpoint nothing.pth' in refused(config, 'nothing.pth')
    without = changed(lambda cfg: cfg.pop('load_from'))
    assert 'no checkpoint: name one after the config' in refused(without)
    Path('damaged.pth').write_bytes(b'no checkpoint')
    assert 'damaged.pth cannot be loaded' in refused(config, 'damaged.pth')
    message = refused(config, swin_run.checkpoint)
    assert 'the checkpoint does not fit the model' in message
    message = refused(config, vit_run.folder / 'integer.pth')
    assert 'the checkpoint is quantized already' in message


def test_checkpoint_that_cannot_be_fetched(refused, vit_run):
    message = refused(vit_run.config, 'http://127.0.0.1:9/nothing.pth')
    assert 'nothing.pth cannot be loaded' in message


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_no_numbers(refused, vit_run, value):
    checkpoint = torch.load(vit_run.checkpoint, weights_only=True)
    checkpoint['state_dict']['head.layers.head.bias'][1] = value
    torch.save(checkpoint, 'nan.pth')
    message = refused(vit_run.config, 'nan.pth')
    assert "'head.layers.head.bias' holds NaN or infinite" in message


def test_activations_that_are_no_numbers(refused, vit_run):
    checkpoint = torch.load(vit_run.checkpoint, weights_only=True)
    checkpoint['state_dict']['backbone.layers.0.ln1.weight'].fill_(3e38)
    torch.save(checkpoint, 'inf.pth')
    message = refused(vit_run.config, 'inf.pth')
    assert "site 'layers.0" in message and 'check the weights' in message


@pytest.mark.parametrize('split', ['train', 'test'])
def test_missing_images(refused, changed, split):
    def change(cfg):
        cfg[f'{split}_dataloader'].dataset.data_prefix = 'nowhere'

    what = {'train': 'calibration', 'test': 'evaluation'}[split]
    message = refused(changed(change))
    assert f'the {what} images cannot be read' in message
    assert 'nowhere' in message and 'check data_root' in message


def test_empty_calibration_set(refused, changed, tmp_path):
    (tmp_path / 'empty/train/left').mkdir(parents=True)

    def change(cfg):
        cfg.train_dataloader.dataset.data_root = str(tmp_path / 'empty')

    assert 'calibration images cannot be read, or there' in refused(changed(change))


def test_calibration_on_the_evaluation_split(refused, changed):
    def change(cfg):
        cfg.quantization.calibration.dataloader = cfg.test_dataloader

    message = refused(changed(change))
    assert 'calibration would see images of the evaluation' in message


def test_settings(refused, vit_run):
    def said(option):
        return refused(vit_run.config, '--cfg-options', option)

    message = said('quantization.regions=["backbon"]')
    assert "region 'backbon' is not built by the config" in message
    assert "['backbone', 'head']" in message
    assert 'no transformer in the regions' in said('quantization.regions=["head"]')
    message = said('candidates.gelu.0.type=gelo')
    assert "no integer function 'gelo'" in message and 'i_gelu' in message
    message = said('quantization.weight.observer.type=minmix')
    assert "no observer 'minmix'" in message and 'minmax' in message
    assert 'no option' in said('quantization.wieght.bits=4')
    assert 'use 2 to 16' in said('quantization.weight.bits=17')
    assert 'needs images' in said('quantization.calibration.num_images=0')


def test_name_of_the_predictions(refused, vit_run):
    assert 'has to be a .pkl' in refused(vit_run.config, '--out', 'predictions.json')


def test_operation_without_a_rule(refused, detector_run):
    message = refused(
        detector_run.config,
        '--cfg-options',
        'quantization.regions=[backbone,neck]',
        'model.neck.upsample_cfg.mode=area',
    )
    assert "region 'neck'" in message and 'choose a smaller region' in message


@pytest.mark.slow
@pytest.mark.parametrize('tool', ['quantize', 'train'])
def test_an_interrupt_while_it_starts_is_one_line(tool, tmp_path):
    command = [sys.executable, TOOL.with_name(f'{tool}.py'), 'nothing.py']
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    maps = Path(f'/proc/{started.pid}/maps')
    if not maps.exists():
        started.kill()
        pytest.skip('what a process has loaded is not shown here')
    while started.poll() is None and 'libtorch' not in maps.read_text():
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    said = started.communicate(timeout=120)[1]
    assert (started.returncode, said) == (130, 'interrupted: nothing was begun\n')
