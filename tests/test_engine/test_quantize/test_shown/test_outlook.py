"""What a run says about its phases before they begin."""

import json

import pytest

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.quantize.outlook import Outlook, expected
from iptq_mm.engine.quantize.phases import PHASES


@pytest.fixture
def outlook(tmp_path):
    def make(phases=('observe', 'analyse', 'freeze'), backend='native', **settings):
        config = QuantizationConfig.from_dict(dict(regions=['backbone'], **settings))
        return expected(phases, config, 100, 400, 400, backend, True, tmp_path)

    return make


def test_all_phases_and_their_shares(outlook):
    every = [phase.name for phase in PHASES]
    found = outlook(every, reconstruction=dict(epochs=4))
    assert list(found.weights) == [*every, 'evaluate', 'report']
    shares = found.text().partition(': ')[2].split(', ')
    assert len(shares) == len(found.weights)
    percents = [s.split()[-1].rstrip('%') for s in shares]
    assert 95 <= sum(map(int, percents)) <= 105
    assert found.weights['reconstruct'] > sum(found.weights.values()) / 2


def test_few_images_are_a_small_share(outlook):
    few = outlook(calibration=dict(analysis_images=8)).weights
    many = outlook(calibration=dict(analysis_images=80)).weights
    assert many['analyse'] == 10 * few['analyse']
    assert many['observe'] == few['observe']


def test_without_a_back_end_the_evaluation_is_long(outlook):
    slow, fast = (outlook(backend=b).weights['evaluate'] for b in (None, 'native'))
    assert slow > 2 * fast


def test_times_of_an_earlier_run_count(outlook, tmp_path):
    seconds = dict(observe=8.0, analyse=1.0, freeze=1.0, float=6.0, integer=4.0)
    (tmp_path / 'results.json').write_text(json.dumps(dict(seconds=seconds)))
    found = outlook().weights
    assert [found[n] for n in ('observe', 'freeze', 'evaluate')] == [8, 1, 10]
    # Of other phases, or none at all: images count.
    for text in (json.dumps(dict(seconds=dict(observe=1))), '[]', 'no JSON'):
        (tmp_path / 'results.json').write_text(text)
        assert outlook().weights['observe'] == 200


def test_time_left():
    run = Outlook({'observe': 1.0, 'analyse': 1.0, 'evaluate': 2.0})
    assert run.now('observe', 0.0, 0.0) == ''  # nothing is known
    assert run.now('observe', 0.5, 10.0) == '; run: 12%, about 1 min 10 s left'
    run.finish('observe', 20.0)
    assert run.now('analyse', 1.0, 40.0) == '; run: 50%, about 1 min 0 s left'
    assert run.now('recalibrate 1/3', 0.5, 1.0) == ''  # not foreseen
    assert run.now('observe', 0.5, 1.0) == ''  # done before
    run.finish('pixels', 3.0)
    assert 'pixels' not in run.seconds
