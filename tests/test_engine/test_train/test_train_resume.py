"""A run that is killed at any moment goes on to the same integers, to the bit."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_training
import torch

from iptq_mm.engine.quantize import phases
from iptq_mm.engine.run import outcome
from iptq_mm.engine.train import checkpoints, pipeline, start, trainee
from iptq_mm.engine.train.checkpoints import newest_checkpoint
from iptq_mm.engine.train.pipeline import train_and_compare
from iptq_mm.utils import files

TOOL = Path(__file__).parents[3] / 'tools/train.py'

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]


class Killed(Exception):
    pass


def _at_call(number, original):
    """``original``, which is killed at its n-th call."""
    calls = iter(range(1, 10**6))

    def function(*args, **kwargs):
        if next(calls) == number:
            raise Killed
        return original(*args, **kwargs)

    return function


def _half_written(path, write):
    """What a process leaves that is killed while it writes a checkpoint."""
    if not Path(path).name.startswith('iter_4'):
        return files.write_whole(path, write)
    beside = Path(path).with_name('.iter_4.pth.0123')
    write(beside)
    beside.write_bytes(beside.read_bytes()[:1000])
    raise Killed


#: Ten iterations of five in an epoch, a checkpoint after every second.
MOMENTS = {
    'calibration': (phases, 'analyse', 1),
    'before the quantized model is kept': (start, 'try_save', 1),
    'before the first iteration': (pipeline, 'TrainingHook', 1),
    'in the first iteration': (trainee, 'average_gradients', 1),
    'before the next checkpoint': (trainee, 'average_gradients', 4),
    'right after a checkpoint': (trainee, 'average_gradients', 5),
    'in a checkpoint': (checkpoints, 'write_whole', _half_written),
    'in a validation': (trainee.Trainee, 'val_step', 1),
    'in the second epoch': (trainee, 'average_gradients', 8),
    'in the last validation': (trainee.Trainee, 'val_step', 4),
    'before the evaluation': (pipeline, 'compare', 1),
    'while results are written': (outcome, 'check_written', 1),
}


@pytest.mark.parametrize('moment', MOMENTS)
def test_killed(trained_vit, tmp_path, monkeypatch, moment):
    config, whole, results = trained_vit
    place, name, how = MOMENTS[moment]
    if isinstance(how, int):
        how = _at_call(how, getattr(place, name))
    with monkeypatch.context() as patch:
        patch.setattr(place, name, how)
        if name == 'check_written':  # which only warns where it cannot look
            patch.setattr(outcome, 'save_plan', _at_call(1, outcome.save_plan))
        with pytest.raises(Killed):
            train_and_compare(config, work_dir=str(tmp_path))
    assert not (tmp_path / 'results.json').exists()
    calibrated = (tmp_path / 'quantized.pth').exists()
    if calibrated:
        monkeypatch.setattr(start, 'quantize_model', None)
    again = train_and_compare(config, work_dir=str(tmp_path), resume=True)
    assert calibrated == (list(MOMENTS).index(moment) > 1)
    assert tiny_training.same_integers(tmp_path, whole)
    for key in ('integer', 'float', 'assignment', 'cost', 'checks', 'output_sqnr_db'):
        assert again[key] == results[key], key
    for key in ('iterations', 'images', 'loss', 'validation'):
        assert again['training'][key] == results['training'][key], key


def test_a_process_that_is_killed(trained_vit, tmp_path):
    """SIGKILL leaves whatever lies on the disk then."""
    config, whole, _ = trained_vit
    run = tmp_path / 'run'
    command = [sys.executable, str(TOOL), config, '--work-dir', str(run)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        while not list(run.glob('iter_*.pth')) and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, process.stderr.read()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    assert not (run / 'results.json').exists()
    train_and_compare(config, work_dir=str(run), resume=True)
    assert tiny_training.same_integers(run, whole)


def test_a_damaged_checkpoint(trained_vit, tmp_path):
    """The one before it counts; if all are damaged, the training begins anew."""
    config, whole, _ = trained_vit
    run = tmp_path / 'run'
    shutil.copytree(whole, run)
    (newest,) = run.glob('iter_10.pth')
    newest.write_bytes(newest.read_bytes()[:5000])
    state = torch.load(run / 'quantized.pth', weights_only=True)
    assert newest_checkpoint(run, state['run']) == (8, str(run / 'iter_8.pth'))
    train_and_compare(config, work_dir=str(run), resume=True)
    assert tiny_training.same_integers(run, whole)


def test_a_run_that_is_not_resumed_forgets_the_last_one(
    trained_vit, tmp_path, monkeypatch
):
    """Its checkpoints are another run's, even if it is killed at once."""
    config, whole, _ = trained_vit
    run = tmp_path / 'run'
    shutil.copytree(whole, run)
    with monkeypatch.context() as patch:
        patch.setattr(phases, 'analyse', _at_call(1, phases.analyse))
        with pytest.raises(Killed):
            train_and_compare(config, work_dir=str(run))
    assert (run / 'iter_10.pth').exists()
    options = {'qat.optim_wrapper.optimizer.lr': 1e-9}
    results = train_and_compare(
        config, work_dir=str(run), resume=True, cfg_options=options
    )
    assert results['training']['iterations'] == 10
    assert not tiny_training.same_integers(run, whole)


def test_another_quantization_begins_anew(trained_vit, tmp_path):
    config, whole, _ = trained_vit
    run = tmp_path / 'run'
    shutil.copytree(whole, run)
    options = {'quantization.weight.bits': 3}
    train_and_compare(config, work_dir=str(run), resume=True, cfg_options=options)
    log = ''.join(p.read_text() for p in run.rglob('*.log'))
    assert 'was made with other settings: quantizing and training anew' in log
    assert not tiny_training.same_integers(run, whole)
