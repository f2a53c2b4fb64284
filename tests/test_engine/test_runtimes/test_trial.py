"""What is said of a runtime that is wrong, refuses, or ends its process."""

import json
import os

import numpy as np
import pytest

from iptq_mm.engine.runtimes import processes, trial
from iptq_mm.engine.runtimes.adapters import RUNTIMES, OnnxRuntime
from iptq_mm.engine.runtimes.adapters.base import NotRunError
from iptq_mm.engine.runtimes.lone_nodes import Case
from iptq_mm.engine.runtimes.processes import results_of
from iptq_mm.engine.runtimes.trial import compared, tried


def test_compared():
    x = np.array([[1, -(2**63), 5]], np.int64)
    assert compared([x], [x.copy()]) == {'kind': 'exact'}
    y = np.array([[1, 2**63 - 1, 4]], np.int64)
    other = dict(kind='differs', differ=2, count=3, largest=2**64 - 1)
    assert compared([x], [y]) == other
    assert 'outputs of [(3,)]' in compared([x], [x[0]])['reason']
    assert 'outputs of float32' in compared([x], [x.astype(np.float32)])['reason']
    wide = x.astype(np.uint64)
    assert compared([np.array([1, 2])], [np.array([True, False])])['kind'] == 'differs'
    assert compared([x], [wide])['largest'] == 2**64


class Refuses(OnnxRuntime):
    """Like ONNX Runtime without an operator; the list has it only in these tests."""

    name = 'refuses'

    def prepare(self, path):
        raise RuntimeError('no BitShift here')


class Converts(OnnxRuntime):
    """Only converts."""

    name = 'converts'

    def prepare(self, path):
        raise NotRunError('converted')


for _name in (Refuses.name, Converts.name):
    del RUNTIMES[_name]


def test_refusals(small):
    known = small.with_name('small_check.npz')
    reason = 'RuntimeError: no BitShift here'
    assert tried(Refuses(), small, known) == dict(kind='refused', reason=reason)
    assert tried(Converts(), small, known) == dict(kind='converted')


def cases_of(small, count):
    return [
        Case(str(i), small.with_name(f'{i}.onnx'), small.with_name('small_check.npz'))
        for i in range(count)
    ]


class Child:
    """Stands in for the process: writes what it is told, and ends so."""

    def __init__(self, monkeypatch, *runs):
        self.runs, self.asked = list(runs), []
        monkeypatch.setattr(processes, '_process', self)

    def __call__(self, runtime, cases, lines, seconds):
        self.asked.append([case.label for case in cases])
        said, status = self.runs.pop(0)
        paths = {case.label: str(case.path) for case in cases}
        with open(lines, 'w') as stream:
            for label, result in said:
                line = dict(path=paths[label])
                if result:
                    line['result'] = result
                stream.write(json.dumps(line) + '\n')
        return status


GOOD = dict(kind='exact')


def test_a_model_that_ends_the_process_is_passed(small, monkeypatch):
    child = Child(
        monkeypatch,
        ([('0', None), ('0', GOOD), ('1', None)], -6),
        ([('2', None), ('2', GOOD)], 0),
    )
    found = results_of('fake', cases_of(small, 3), 60)
    assert found == [GOOD, dict(kind='ended', status=-6), GOOD]
    assert child.asked == [['0', '1', '2'], ['2']]


def test_what_is_late_is_said(small, monkeypatch):
    Child(monkeypatch, ([('0', None), ('0', GOOD), ('1', None)], None))
    found = results_of('fake', cases_of(small, 3), 60)
    assert found == [GOOD, dict(kind='late'), dict(kind='late')]


def test_a_process_that_cannot_begin(small, monkeypatch):
    Child(monkeypatch, ([], 1))
    with pytest.raises(RuntimeError, match='fake: its process ended with 1'):
        results_of('fake', cases_of(small, 1), 60)


@pytest.mark.slow
def test_a_process(small):
    """A real one: an exact model, and a file that is none."""
    broken = small.with_name('broken.onnx')
    broken.write_bytes(b'this is no model')
    known = small.with_name('small_check.npz')
    cases = [Case('good', small, known), Case('broken', broken, known)]
    good, bad = results_of('ONNX Runtime', cases, 120)
    assert good == GOOD and bad['kind'] == 'refused'
    # Not ready in a second: a process needs longer to begin.
    assert results_of('ONNX Runtime', cases[:1], 0.01) == [dict(kind='late')]


def test_the_process_writes_before_and_after(small, tmp_path, monkeypatch):
    tasks, out = tmp_path / 'tasks.json', tmp_path / 'out.json'
    known = small.with_name('small_check.npz')
    tasks.write_text(json.dumps([[os.fspath(small), os.fspath(known)]]))
    arguments = ['trial', 'ONNX Runtime', os.fspath(tasks), os.fspath(out)]
    monkeypatch.setattr(trial.sys, 'argv', arguments)
    trial.main()
    first, second = map(json.loads, out.read_text().splitlines())
    assert first == dict(path=os.fspath(small))
    assert second == dict(path=os.fspath(small), result=GOOD)
