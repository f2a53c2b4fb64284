"""Which phases run, which are timed where, and which a resumed run leaves out."""

from types import SimpleNamespace

import pytest

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.quantize.phases import PHASES, Phase
from iptq_mm.engine.quantize.state import State


@pytest.fixture
def run(tmp_path):
    """As much of a run as a phase without work looks at."""
    state = State(tmp_path / 'state.pth', {}, resume=False)
    return SimpleNamespace(
        config='wanted', state=state, seconds={}, done=[], outlook=None
    )


def phase(**options):
    return Phase('phase', lambda run: run.done.append('phase'), **options)


def test_findings_that_are_kept_are_not_made_again(run):
    for _ in range(2):
        phase(kept=True).do(run)
    assert run.done == ['phase'] and run.seconds == {}
    assert State(run.state.path, {}, resume=True).seconds.keys() == {'phase'}


def test_a_phase_that_changes_the_model_is_repeated_but_kept_once(run):
    repeated = phase(kept=True, repeated=True)
    repeated.do(run)
    run.state.seconds['phase'] = 7.0  # as of the interrupted run
    repeated.do(run)
    assert run.done == ['phase'] * 2 and run.state.seconds == {'phase': 7.0}


def test_what_is_not_kept_runs_in_every_run(run):
    for _ in range(2):
        phase().do(run)
    assert run.done == ['phase'] * 2 and run.seconds.keys() == {'phase'}
    assert not run.state.seconds and not run.state.path.exists()


def test_what_is_not_wanted_does_not_run(run):
    phase(wanted=lambda config: config != 'wanted').do(run)
    assert not run.done and not run.seconds and not run.state.seconds


@pytest.mark.parametrize(
    'options, names',
    [
        ({}, 'observe analyse assign freeze check'),
        (
            dict(
                equalization=[dict(type='attention')],
                activation=dict(search_images=8),
                weight=dict(bias_correction=True),
            ),
            'equalize observe search analyse assign measure freeze check',
        ),
        (
            dict(activation=dict(search_images=8, guard_images=8)),
            'observe search guard analyse assign freeze check',
        ),
        (
            dict(activation=dict(guard_images=8, least_db=20)),
            'observe guard widen analyse assign freeze check',
        ),
        (
            dict(weight=dict(rounding=dict(type='second_order'))),
            'observe analyse assign measure freeze check',
        ),
        (
            dict(reconstruction=dict(epochs=1)),
            'observe analyse assign freeze reconstruct check',
        ),
        (
            dict(calibration=dict(recalibrate='order')),
            'observe analyse assign recalibrate freeze check',
        ),
        (
            dict(calibration=dict(function_ranges='site')),
            'observe analyse assign recalibrate freeze check',
        ),
    ],
)
def test_the_phases_that_a_config_asks_for(options, names):
    config = QuantizationConfig.from_dict({'regions': ['backbone'], **options}, None)
    assert [p.name for p in PHASES if p.wanted(config)] == names.split()
