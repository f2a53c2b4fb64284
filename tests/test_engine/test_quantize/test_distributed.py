"""Any number of processes makes the same plan, to the bit."""

import copy
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine import dist
from mmengine.config import Config

from iptq_mm.criteria import CandidateErrors
from iptq_mm.engine.quantize.distributed import merge_analysed, merged
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.engine.run.work_dir import held
from iptq_mm.record import RegionRecord

TOOL = Path(__file__).parents[3] / 'tools/quantize.py'

#: Three batches on two ranks; a moving average, which depends on the order; the
#: last batch is smaller than the others.
OPTIONS = {
    'quantization.calibration.num_images': 5,
    'quantization.calibration.analysis_images': 6,
    'quantization.activation.observer.type': 'ema',
}


def _analysed(values):
    records = {'backbone': RegionRecord()}
    for value in values:
        errors = CandidateErrors(signal=value, error=value / 3, elements=1, images=1)
        constants = {'input': {'qmin': 0, 'qmax': int(10 * value)}}
        records['backbone'].merge(RegionRecord(candidates={'s': {'i_gelu': errors}}))
        records['backbone'].keep_constants('s', 'i_gelu', constants)
    return records


@pytest.mark.parametrize('parts', [[0, 1, 4], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_errors_are_those_of_one_process(monkeypatch, parts):
    """0.1 + 0.2 + 0.3 is not 0.1 + (0.2 + 0.3) in floats."""
    values = [0.1, 0.2, 0.3, 0.7]
    alone = _analysed(values)
    ranks = [values[a:b] for a, b in itertools.pairwise(parts)]

    def broadcast(box, source):
        found = _analysed(ranks[source])['backbone']
        box[0] = {'backbone': copy.deepcopy(found)}

    monkeypatch.setattr(dist, 'get_dist_info', lambda: (0, len(ranks)))
    monkeypatch.setattr(dist, 'get_world_size', lambda: len(ranks))
    monkeypatch.setattr(dist, 'broadcast_object_list', broadcast)
    for rank in range(len(ranks)):
        again = _analysed(ranks[rank])
        merge_analysed(again)
        assert again == alone
    widest = {'input': {'qmin': 0, 'qmax': 7}}
    assert alone['backbone'].constants == {'s': {'i_gelu': widest}}


def test_one_process_keeps_its_records():
    records = {'backbone': RegionRecord()}
    assert merged(records) is records


def _launch(ranks, config, work_dir, script=TOOL, options=None):
    """Run the tool, or a script around it, in several processes."""
    options = OPTIONS if options is None else options
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    return subprocess.run(
        [*command, f'--nproc-per-node={ranks}', script, config, '--launcher=pytorch']
        # As the runs that they are compared with: native counts in some images only.
        + ['--work-dir', work_dir, '--backend', 'eager', '--cfg-options']
        + [f'{key}={value}' for key, value in options.items()],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture
def around(tmp_path):
    """Writes a script that runs the tool between lines of its own."""

    def write(before='', after=''):
        script = tmp_path / 'script.py'
        script.write_text(
            'import os, runpy, sys\nfrom pathlib import Path\n'
            'RANK = int(os.environ["RANK"])\n'
            f'{before}\n'
            'try:\n'
            f'    runpy.run_path({str(TOOL)!r}, run_name="__main__")\n'
            f'finally:\n    pass\n    {after}\n'
        )
        return script

    return write


def _same_results(config, one, many, options=OPTIONS):
    """Whether one process finds what many have found."""
    alone = quantize_and_compare(config, work_dir=str(one), cfg_options=options)
    found = json.loads((many / 'results.json').read_text())
    assert {**alone, 'seconds': 0} == {**found, 'seconds': 0}
    for name in ('plan.json', 'integer.py'):
        assert (one / name).read_text() == (many / name).read_text()


@pytest.mark.slow
@pytest.mark.parametrize('ranks', [2, 3])
def test_ranks(vit_run, tmp_path, one_thread, ranks):
    done = _launch(ranks, vit_run.config, tmp_path / 'many')
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert 'terminate called' not in done.stderr
    assert 'analyse: batch 1/1' in done.stdout
    _same_results(vit_run.config, tmp_path / 'one', tmp_path / 'many')


#: Writes how many parts a rank has improved, and a digest of its integers.
_DIGESTS = """
import hashlib
from iptq_mm.engine.quantize import hook
original = hook.quantize_model
def quantize(model, *args, **options):
    done, digest = original(model, *args, **options), hashlib.sha256()
    for value in model.parameters():
        digest.update(value.detach().numpy().tobytes())
    parts = done.reconstruction['decibels']
    better = sum(before < after for before, after in parts.values())
    Path(__file__).with_name(f'rank{RANK}').write_text(f'{better} {digest.hexdigest()}')
    return done
hook.quantize_model = quantize
"""


@pytest.mark.slow
def test_ranks_learn_together(vit_run, tmp_path, around):
    """They have different images, and as many steps as the one with the most."""
    options = {
        **OPTIONS,
        'quantization.weight.bits': 4,
        'quantization.reconstruction.epochs': 2,
        'quantization.reconstruction.rate': 0.1,
    }
    script = around(_DIGESTS)
    done = _launch(2, vit_run.config, tmp_path / 'run', script, options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    one, other = [(tmp_path / f'rank{rank}').read_text() for rank in range(2)]
    assert one == other and int(one.split()[0]) > 0
    results = json.loads((tmp_path / 'run/results.json').read_text())
    assert results['reconstruction']['memory_mb'] > 0


@pytest.mark.slow
def test_ranks_recalibrate(vit_run, tmp_path, one_thread):
    options = {
        **OPTIONS,
        'quantization.calibration.recalibrate': 'order',
        'quantization.calibration.function_ranges': 'output',
        'quantization.wide.gelu': 8,
    }
    done = _launch(2, vit_run.config, tmp_path / 'many', options=options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert 'recalibrate: constants' in done.stdout
    _same_results(vit_run.config, tmp_path / 'one', tmp_path / 'many', options)


@pytest.mark.slow
def test_ranks_that_run_whole_models(vit_run, tmp_path, one_thread):
    options = {**OPTIONS, 'quantization.analysis': 'whole-model'}
    done = _launch(2, vit_run.config, tmp_path / 'many', options=options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    _same_results(vit_run.config, tmp_path / 'one', tmp_path / 'many', options)


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='no /proc')
def test_no_thread_of_the_group_is_left(vit_run, tmp_path, around):
    """One that runs while the interpreter ends may abort the process."""
    names = (
        '[t.joinpath("comm").read_text() for t in Path("/proc/self/task").iterdir()]'
    )
    script = around(after=f'print("THREADS", RANK, {names})')
    done = _launch(2, vit_run.config, tmp_path / 'run', script)
    assert done.returncode == 0, done.stderr[-3000:]
    said = [x for x in done.stdout.splitlines() if x.startswith('THREADS')]
    assert len(said) == 2 and not [line for line in said if 'gloo' in line]


@pytest.mark.slow
@pytest.mark.parametrize('rank', [0, 1])
def test_a_rank_that_fails(vit_run, tmp_path, around, rank):
    """It ends the run with its message; nobody waits for it."""
    script = around(
        'from iptq_mm.calibration import ConfigError\n'
        'from iptq_mm.engine.quantize import phases\n'
        'def fail(*_):\n    raise ConfigError("this rank found something wrong")\n'
        f'if RANK == {rank}:\n    phases.analyse = fail'
    )
    done = _launch(2, vit_run.config, tmp_path / 'run', script)
    assert done.returncode != 0
    assert 'error: this rank found something wrong' in done.stderr
    assert not (tmp_path / 'run/results.json').exists()


@pytest.mark.slow
def test_results_that_cannot_be_written(vit_run, tmp_path, around):
    """The others do not wait for the rank that writes, and end badly with it."""
    script = around(
        'from iptq_mm.engine.run import outcome\n'
        'def fail(*_):\n    raise OSError(28, "the disk is full", "integer.py")\n'
        'outcome.write_config = fail',
        'print("ENDED", RANK, type(sys.exc_info()[1]), sys.exc_info()[1], flush=True)',
    )
    done = _launch(2, vit_run.config, tmp_path / 'run', script)
    assert done.returncode != 0
    assert "error: [Errno 28] the disk is full: 'integer.py'" in done.stderr
    assert not list((tmp_path / 'run').glob('integer.*'))


@pytest.mark.slow
def test_sync_bn(vit_run, tmp_path, one_thread):
    """Ranks without GPUs take it for what it is when nothing is trained."""
    cfg = Config.fromfile(vit_run.config)
    cfg.model.neck = dict(
        type='LinearNeck',
        in_channels=128,
        out_channels=128,
        gap_dim=0,
        norm_cfg=dict(type='SyncBN'),
    )
    cfg.random_weights, cfg.load_from = True, None
    config = tmp_path / 'sync.py'
    cfg.dump(config)
    done = _launch(2, config, tmp_path / 'many')
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'SyncBatchNorm layers become BatchNorm layers' in done.stdout
    _same_results(config, tmp_path / 'one', tmp_path / 'many')


@pytest.mark.slow
def test_ranks_and_a_work_dir_that_is_in_use(vit_run, tmp_path):
    with held(tmp_path / 'run'):
        done = _launch(2, vit_run.config, tmp_path / 'run')
    assert done.returncode != 0
    assert 'another run writes to the work dir' in done.stderr
