"""A rank that dies takes the others with it, and the run can be resumed."""

import copy
import multiprocessing
import os
import signal
import time
from functools import partial

import pytest
import torch
from forked_ranks import on_ranks
from region_models import Net, config, images, vit

from iptq_mm.engine.calibration_data.build import _batches_of_this_rank
from iptq_mm.engine.calibration_data.loader import CalibrationLoader
from iptq_mm.engine.quantize import phases
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.engine.run import watch
from iptq_mm.engine.run.watch import Watch

CONFIG = config(
    weight=dict(bits=4, rounding=dict(type='second_order')),
    calibration=dict(num_images=8, batch_size=2, analysis_images=8),
)


def in_forks(count, folder, work):
    """Exit codes of ranks, and the seconds that the last one took."""
    context = multiprocessing.get_context('fork')

    def rank(number):
        torch.distributed.init_process_group(
            'gloo', f'file://{folder}/store', rank=number, world_size=count
        )
        work(number)

    ranks = [context.Process(target=rank, args=(n,)) for n in range(count)]
    began = time.perf_counter()
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(300)
        process.kill()
    return [process.exitcode for process in ranks], time.perf_counter() - began


@pytest.mark.slow
@pytest.mark.parametrize('dying', [0, 2])
def test_nobody_waits_for_a_dead_rank(tmp_path, monkeypatch, capfd, dying):
    monkeypatch.setattr(watch, 'GRACE', 0.2)

    def work(rank):
        seen = Watch('. Do this')
        if rank == dying:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(200)
        raise AssertionError(seen.died)

    codes, seconds = in_forks(3, tmp_path, work)
    expected = [-signal.SIGKILL if rank == dying else 1 for rank in range(3)]
    assert codes == expected and seconds < 60
    said = capfd.readouterr().err
    assert said.count(f'error: process {dying} of the run (pid ') == 2
    assert said.count('has died; this one ends, too. Do this') == 2


@pytest.mark.slow
def test_an_error_is_told_to_all(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(watch, 'GRACE', 0.2)

    def work(rank):
        seen = Watch()
        if rank == 1:
            seen.fail(ValueError('a bad image'))
            os._exit(3)
        time.sleep(200)

    codes, seconds = in_forks(3, tmp_path, work)
    assert codes == [1, 3, 1] and seconds < 60
    said = capfd.readouterr().err
    assert said.count('failed: ValueError: a bad image; this one ends, too') == 2


@pytest.mark.slow
def test_who_says_goodbye_is_not_missed(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(watch, 'GRACE', 0.0)

    def work(rank):
        Watch().leave()
        time.sleep(1.0 + rank)
        torch.distributed.barrier()
        time.sleep(1.0 - rank / 2)

    codes, _ = in_forks(2, tmp_path, work)
    assert codes == [0, 0] and 'has died' not in capfd.readouterr().err


def quantized(net, state_file, resume, dying=None):
    """The plan; a rank may be killed while its weights are rounded."""
    model = copy.deepcopy(net)
    model.test_step = model.forward
    loader = CalibrationLoader(
        images(8, 3, 32, 32), _batches_of_this_rank(8, 2), collate_fn=torch.stack
    )
    if dying is not None:
        seen, freeze = Watch(), phases.freeze_regions

        def freeze_some(*args):
            if torch.distributed.get_rank() == dying:
                os.kill(os.getpid(), signal.SIGKILL)
            freeze(*args)

        phases.freeze_regions = freeze_some
    with torch.no_grad():
        done = quantize_model(model, CONFIG, loader, state_file, resume)
    if dying is not None:
        raise AssertionError(seen.died)
    return {name: plan.to_dict() for name, plan in done.plans.items()}, done.seconds


@pytest.mark.slow
@pytest.mark.parametrize('dying', [0, 1])
def test_a_run_goes_on_after_a_rank_died(tmp_path, monkeypatch, dying):
    monkeypatch.setattr(watch, 'GRACE', 0.2)
    net, state_file = Net(vit()).eval(), tmp_path / 'state.pth'
    ((expected, _),) = on_ranks(1, partial(quantized, net, None, False))
    work = partial(quantized, net, state_file, False, dying)
    codes, seconds = in_forks(2, tmp_path, lambda rank: work())
    assert codes[dying] == -signal.SIGKILL and codes[1 - dying] == 1
    assert seconds < 120
    kept = torch.load(state_file, weights_only=True)
    assert list(kept['seconds']) == ['observe', 'analyse']
    for found, took in on_ranks(2, partial(quantized, net, state_file, True)):
        assert found == expected
        assert {name: took[name] for name in kept['seconds']} == kept['seconds']
    assert not list(tmp_path.glob('*.tmp*'))
