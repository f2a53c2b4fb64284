"""benchmarks/gpu.py: without a GPU, and its steps, rehearsed on the CPU."""

import copy
import time
from pathlib import Path

import pytest
import scripts
import torch
from bench.gpu import subjects
from bench.gpu.exactness import compared, recorded_calls
from bench.gpu.measurement import measure
from bench.gpu.report import differences, report
from bench.gpu.steps import Deadline, OutOfTime
from bench.gpu.subjects import Subject
from bench.gpu.timing import timed
from bench.networks import Network

TOOL = Path(__file__).parents[2] / 'benchmarks/gpu.py'
CPU = torch.device('cpu')

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def tool(monkeypatch, capsys):
    module = scripts.as_module(TOOL)
    monkeypatch.setattr(module, 'prepare_process', lambda threads: None)
    return scripts.runner(module, monkeypatch, capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu(tool, tmp_path):
    ran = tool('--out', tmp_path / 'gpu.md')
    assert ran.code == 3 and 'no GPU' in ran.err and 'Nothing was measured' in ran.err
    assert not (tmp_path / 'gpu.md').exists()


def test_no_such_model(tool):
    assert tool('deit_x').code == 2


@pytest.fixture(scope='module')
def subject(tiny_config):
    """The tiny ViT in the place of a model."""
    network = Network(Path(tiny_config), (32, 32), trained=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(subjects.SUBJECTS, 'tiny', network)
        yield Subject('tiny')


@pytest.mark.slow
def test_regions_are_compared_call_by_call(subject):
    calls = recorded_calls(subject.integers, subject.batch(1))
    assert [call.region for call in calls] == ['backbone', 'head']
    for backend in (None, 'reference'):
        rows = list(compared(subject.integers, calls, CPU, backend))
        assert [row.different for row in rows] == [0, 0]
        assert all(row.values > 0 and row.calls == 1 for row in rows)
    spoiled = copy.deepcopy(subject.integers)
    spoiled.head.layers.head.weight[0].neg_()
    rows = list(compared(spoiled, calls, CPU, None))
    assert rows[0].different == 0 and rows[1].different == 1


@pytest.mark.slow
def test_a_rehearsal(subject, monkeypatch):
    monkeypatch.setattr('bench.gpu.measurement.Subject', lambda name: subject)
    result = measure(
        ['tiny'],
        CPU,
        [1, 2],
        minutes=5,
        turn=0.01,
        say=lambda line: None,
        modes=(None, 'reference'),
        contenders=('integer_eager', 'fp16'),
    )
    assert differences(result) == 0 and len(result['exact']) == 4
    assert [r['batch'] for r in result['times']] == [1, 1, 2, 2]
    page = report(result, 'python benchmarks/gpu.py')
    assert 'a rehearsal that measures nothing' in page
    assert '| tiny | eager | backbone | 1 |' in page
    assert '| tiny | 2 | integer_eager |' in page
    late = measure(['tiny'], CPU, [1], minutes=0, say=lambda line: None)
    rows = late['exact'] + late['times']
    assert rows and all('no time left' in row['missing'] for row in rows)
    assert 'left out' in report(late, '')


def test_what_fails_is_in_the_page():
    row = {'model': 'a', 'mode': 'compiled', 'region': 'others', 'missing': 'Error: x'}
    other = {'model': 'a', 'mode': 'eager', 'region': 'b', 'calls': 1, 'values': 9}
    result = {
        'machine': {'device': 'card'},
        'exact': [row, {**other, 'different': 2}],
        'times': [],
    }
    assert differences(result) == 2
    page = report(result, 'command')
    assert 'Error: x' in page and '| a | eager | b | 1 | 9 | 2 |' in page


def test_steps_end_in_time():
    deadline = Deadline(0.2)
    with deadline.step():
        pass
    began = time.monotonic()
    with pytest.raises(OutOfTime), deadline.step():
        time.sleep(30)
    assert time.monotonic() - began < 20
    with pytest.raises(OutOfTime), deadline.step():
        raise AssertionError('not reached')
    with pytest.raises(OutOfTime), Deadline(60).step(0.05):
        time.sleep(30)


def test_the_median_of_some_calls():
    now = [0.0]
    steps = iter([9.0] * 3 + [1.0, 5.0, 2.0, 3.0, 4.0, 100.0])

    def call():
        now[0] += next(steps)

    assert timed(call, CPU, 15.0, clock=lambda: now[0]) == 3.0
