"""What a run leaves is whole, new or old, and safe before anything else fails."""

import hashlib
import json
import math
import os
import resource
import signal

import pytest
import tiny_runs
import torch
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.quantize.state import State
from iptq_mm.engine.run import outcome
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.engine.run.work_dir import RESULTS

pytestmark = pytest.mark.usefixtures('one_thread')


def _fail(*_, **__):
    raise RuntimeError('it failed')


def _log(folder):
    return ''.join(p.read_text() for p in folder.rglob('*.log'))


def _files(folder):
    return {p.name for p in folder.iterdir() if p.is_file()}


def _contents(folder):
    return {name: (folder / name).read_bytes() for name in RESULTS}


def test_a_picture_that_fails(vit_run, tmp_path, monkeypatch):
    """The results are written before it; that of an earlier run is no longer true."""
    (tmp_path / 'functions.png').touch()
    monkeypatch.setattr(outcome, 'plot_assignment', _fail)
    results = quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    assert {*RESULTS} < _files(tmp_path) and 'functions.png' not in _files(tmp_path)
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    log = _log(tmp_path)
    assert 'functions.png could not be drawn (it failed)' in log
    assert f'written to {tmp_path}' in log


def test_a_hook_that_fails(vit_run, tmp_path, monkeypatch):
    """Hooks of the user, and mmengine's logger, come later."""
    monkeypatch.setattr('mmengine.hooks.LoggerHook.after_test_epoch', _fail)
    with pytest.raises(RuntimeError, match='it failed'):
        quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    assert {*RESULTS, 'functions.png'} < _files(tmp_path)
    assert '.lock' not in _files(tmp_path)


def test_what_is_said_of_calibration_and_result(vit_run):
    results = json.loads((vit_run.folder / 'results.json').read_text())
    assert results == vit_run.results
    assert results['calibration']['images'] == results['calibration']['asked'] == 6
    assert set(results['checks']) == {'backbone', 'head'}
    assert isinstance(results['warnings'], list)


def test_what_the_figures_are_of(run):
    results, plan = run.results, json.loads((run.folder / 'plan.json').read_text())
    assert (results['config'], results['checkpoint']) == (run.config, run.checkpoint)
    assert results['bits']['weight'] == results['quantization']['weight']['bits'] == 8
    counted = dict.fromkeys(results['bits']['parameters'], 0)
    for parameter in (
        p for region in plan.values() for p in region['parameters'].values()
    ):
        counted[str(parameter['bits'])] += math.prod(parameter['shape'])
    assert results['bits']['parameters'] == counted
    given = torch.load(run.checkpoint, weights_only=True)['state_dict']
    named = {n.partition('.')[0] for n in plan}
    inside = [k for k in given if k.partition('.')[0] in named]
    # Constants of modules (relative positions of windows) are no parameters.
    learned = sum(given[k].numel() for k in inside if 'index' not in k)
    assert results['numbers']['integer'] == sum(counted.values()) == learned
    model = run.folder / 'integer.pth'
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert results['digest'] == {'integer.pth': digest}
    assert results['bytes'] == {'integer.pth': model.stat().st_size}
    images = results['images']
    assert images['calibration'] == results['calibration']['images']
    assert images['evaluation'] == len(run.predictions)


def test_a_result_that_cannot_be_read_is_none(vit_run, tmp_path, monkeypatch):
    """What was made in hours is kept all the same."""

    def other(*args):
        raise ConfigError('integer.py does not give back the model')

    monkeypatch.setattr(outcome, 'check_written', other)
    with pytest.raises(ConfigError, match='give back the model.*rejected'):
        quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    assert not set(RESULTS) & _files(tmp_path)
    assert set(RESULTS) <= _files(tmp_path / 'rejected')


def test_a_result_that_cannot_be_tried_is_one(vit_run, tmp_path, monkeypatch):
    """There may be no memory for another model."""
    monkeypatch.setattr(outcome, 'check_written', _fail)
    quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    assert set(RESULTS) <= _files(tmp_path) and 'could not be tried' in _log(tmp_path)


def test_predictions_that_cannot_be_written(vit_run, tmp_path, monkeypatch):
    """They are written last: nothing else is lost."""

    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mmengine.evaluator.DumpResults.compute_metrics', full)
    out, folder = tmp_path / 'new/p.pkl', tmp_path / 'run'
    with pytest.raises(OSError, match=r'predictions cannot be .*No space.*p\.pkl'):
        quantize_and_compare(vit_run.config, work_dir=str(folder), out=str(out))
    assert {*RESULTS, 'functions.png'} < _files(folder)


def test_predictions_for_no_folder(vit_run, tmp_path):
    (tmp_path / 'file').write_text('')
    out = str(tmp_path / 'file/p.pkl')
    with pytest.raises(ConfigError, match=r'--out: nothing can be written to .*file'):
        quantize_and_compare(vit_run.config, work_dir=str(tmp_path / 'run'), out=out)


def test_a_second_run(vit_run, tmp_path, monkeypatch):
    """It says what it replaces; until then, and if it fails, the old stays whole."""
    work_dir = str(tmp_path)
    quantize_and_compare(vit_run.config, work_dir=work_dir)
    old = _contents(tmp_path)
    assert 'holds results of' not in _log(tmp_path)
    options = {'quantization.weight.bits': 6}
    with monkeypatch.context() as patch:
        patch.setattr(outcome, 'write_config', _fail)
        with pytest.raises(RuntimeError, match='it failed'):
            quantize_and_compare(vit_run.config, work_dir=work_dir, cfg_options=options)
    assert _contents(tmp_path) == old
    assert not (tmp_path / '.unfinished').exists()
    names = ', '.join(RESULTS)
    assert f'({names}): they stay until this run has ended well' in _log(tmp_path)
    quantize_and_compare(vit_run.config, work_dir=work_dir, cfg_options=options)
    new = _contents(tmp_path)
    assert all(new[name] != old[name] for name in ('integer.pth', 'plan.json'))
    metrics, _ = tiny_runs.run_test(str(tmp_path / 'integer.py'), tmp_path / 'test')
    expected = json.loads(new['results.json'])['integer']
    assert metrics == pytest.approx(expected, rel=1e-6)


def test_two_runs_in_one_work_dir(vit_run, tmp_path):
    from iptq_mm.calibration import ConfigError
    from iptq_mm.engine.run.work_dir import held

    with held(tmp_path), pytest.raises(ConfigError, match='another run writes to'):
        quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    assert not _files(tmp_path)


def test_a_work_dir_that_is_a_file(vit_run, tmp_path):
    from iptq_mm.calibration import ConfigError

    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='cannot be written to'):
        quantize_and_compare(vit_run.config, work_dir=str(tmp_path / 'file'))


@pytest.fixture
def limit():
    """Lets no file grow beyond so many bytes, which fails as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_no_room_for_the_records(vit_run, tmp_path, limit):
    """They are for a run that is interrupted, which this one need not be."""
    size = (vit_run.folder / 'calibration.pth').stat().st_size
    assert (vit_run.folder / 'integer.pth').stat().st_size < size - 20_000
    limit(size - 10_000)
    results = quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    log = _log(tmp_path)
    assert 'cannot be written (File too large)' in log and 'calibration.pth' in log
    assert 'the run goes on, but could not be resumed after analyse' in log
    assert {**results, 'seconds': 0} == {**vit_run.results, 'seconds': 0}
    assert {*RESULTS} < _files(tmp_path)


def test_no_room_for_the_results(vit_run, tmp_path, limit):
    old = {name: f'old {name}'.encode() for name in RESULTS}
    for name, content in old.items():
        (tmp_path / name).write_bytes(content)
    limit((vit_run.folder / 'integer.pth').stat().st_size - 10_000)
    with pytest.raises(OSError, match=r'cannot be written \(File too large\).*\.pth'):
        quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    assert _contents(tmp_path) == old
    assert not [p for p in tmp_path.iterdir() if p.name.startswith('.')]


def test_records_of_the_phase_before_stay(tmp_path, limit):
    state = State(tmp_path / 'state.pth', {'settings': 'a'}, resume=False)
    state.finish('observe', 1.0)
    limit(10)
    state.finish('analyse', 1.0)
    limit(resource.RLIM_INFINITY)
    assert os.listdir(tmp_path) == ['state.pth']
    again = State(tmp_path / 'state.pth', {'settings': 'a'}, resume=True)
    assert again.seconds == {'observe': 1.0}


def test_classes_outside_of_ascii(vit_run, tmp_path):
    """The written config holds them, whatever the locale says."""
    cfg = Config.fromfile(vit_run.config)
    classes = ('Bär', '猫', 'café')
    for key in ('train', 'val', 'test'):
        cfg[f'{key}_dataloader'].dataset.metainfo = dict(classes=classes)
    path = tmp_path / 'classes.py'
    path.write_text(cfg.pretty_text, encoding='utf-8')
    quantize_and_compare(str(path), work_dir=str(tmp_path / 'run'))
    assert '猫' in (tmp_path / 'run/integer.py').read_bytes().decode('utf-8')
    checkpoint = torch.load(tmp_path / 'run/integer.pth', weights_only=True)
    assert 'dataset_meta' in checkpoint['meta']
