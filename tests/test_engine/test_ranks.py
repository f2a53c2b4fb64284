"""Any number of processes makes the same plan, to the bit."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine import dist

from iptq_mm.criteria import CandidateErrors
from iptq_mm.engine.ranks import BatchErrors, merged
from iptq_mm.engine.run import quantize_and_compare
from iptq_mm.record import RegionRecord

TOOL = Path(__file__).parents[2] / 'tools/quantize.py'

#: Three batches on two ranks; a moving average, which depends on the order; the
#: last batch is smaller than the others.
OPTIONS = {
    'quantization.calibration.num_images': 5,
    'quantization.calibration.analysis_images': 6,
    'quantization.activation.observer.type': 'ema',
}


def _errors(value):
    return CandidateErrors(signal=value, error=value / 3, elements=1, images=1)


def test_errors_add_up_batch_by_batch(monkeypatch):
    """0.1 + 0.2 + 0.3 is not 0.1 + (0.2 + 0.3)."""
    values = [0.1, 0.2, 0.3, 0.7]

    def analysed(part):
        records = {'backbone': RegionRecord()}
        errors = BatchErrors(records)
        for value in errors.each(part):
            records['backbone'].candidates = {'site': {'i_gelu': _errors(value)}}
            constants = {'input': {'qmin': 0, 'qmax': int(10 * value)}}
            records['backbone'].keep_constants('site', 'i_gelu', constants)
        return errors

    alone = analysed(values)
    alone.merge()
    parts = [analysed(values[:1]), analysed(values[1:])]
    gathered = []
    keep = lambda x: gathered.append(copy.deepcopy(x)) or [x]  # noqa: E731
    monkeypatch.setattr(dist, 'all_gather_object', keep)
    for part in parts:
        part.merge()
    monkeypatch.setattr(dist, 'all_gather_object', lambda x: copy.deepcopy(gathered))
    for rank in range(2):
        again = analysed([values[:1], values[1:]][rank])
        again.merge()
        assert again.records == alone.records
    widest = {'input': {'qmin': 0, 'qmax': 7}}
    assert alone.records['backbone'].constants == {'site': {'i_gelu': widest}}


def test_one_process_keeps_its_records():
    records = {'backbone': RegionRecord()}
    assert merged(records) is records


@pytest.mark.slow
def test_two_ranks(vit_run, tmp_path, one_thread):
    options = [f'{key}={value}' for key, value in OPTIONS.items()]
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    done = subprocess.run(
        [*command, '--nproc-per-node=2', TOOL, vit_run.config, '--launcher=pytorch']
        + ['--work-dir', tmp_path / 'two', '--cfg-options', *options],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert 'analyse: batch 1/1' in done.stdout
    one = quantize_and_compare(
        vit_run.config, work_dir=str(tmp_path / 'one'), cfg_options=OPTIONS
    )
    two = json.loads((tmp_path / 'two/results.json').read_text())
    assert {**one, 'seconds': 0} == {**two, 'seconds': 0}
    for name in ('plan.json', 'integer.py'):
        a, b = ((tmp_path / n / name).read_text() for n in ('one', 'two'))
        assert a == b
