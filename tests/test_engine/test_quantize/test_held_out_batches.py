"""Batches that are held out from the choice of ranges, and join the record later."""

import copy
from types import SimpleNamespace

import pytest
import torch
from region_models import Net, config, images, same, vit

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.engine.quantize.phase import Run
from iptq_mm.engine.quantize.progress import Picked, evenly_spread, spread_images
from iptq_mm.engine.quantize.state import State

CALIBRATION = dict(num_images=12, batch_size=2)


def settings(guard):
    # Ways that differ for certain.
    activation = dict(bits=4, observer=dict(type='percentile', percentile=70.0))
    return config(
        activation=dict(guard_images=guard, **activation), calibration=CALIBRATION
    )


def a_run(cfg, batches):
    return Run(Net(torch.nn.Identity()), cfg, batches, None, State(None, {}, False))


def test_batches_are_either_held_out_or_not():
    run = a_run(settings(4), list('abcdef'))
    held, rest = list(run.held_out()), list(run.not_held_out())
    assert held == ['a', 'd'] and list(run.held_out().first) == ['a']
    assert rest == ['b', 'c', 'e', 'f']
    assert len(run.held_out()) == 2 and len(run.not_held_out()) == 4


def test_nothing_is_held_out_without_a_guard():
    run = a_run(settings(0), batches := list('abc'))
    assert run.not_held_out() is batches and list(run.held_out()) == []


def test_the_number_of_batches_has_to_be_known():
    run = a_run(settings(4), iter('abcdef'))
    with pytest.raises(ConfigError, match='guard_images needs batches'):
        run.not_held_out()


def test_batches_have_to_be_left():
    with pytest.raises(ConfigError, match='guard_images=4 leaves no batch'):
        a_run(settings(4), list('ab')).not_held_out()


def test_no_more_is_read_than_wanted():
    def each():
        yield from 'ab'
        raise AssertionError('read on')

    assert list(Picked(each(), [0, 1])) == ['a', 'b']
    assert list(Picked(each(), [])) == []


def test_all_batches_if_there_are_too_few():
    given = SimpleNamespace(calibration=SimpleNamespace(batch_size=2))
    assert evenly_spread(3, 100, given) == [0, 1, 2]
    assert evenly_spread(6, 3, given) == [0, 3]


@pytest.mark.parametrize(
    ('images', 'expected'),
    [
        (8, [*range(8)]),
        (16, [*range(8), *range(8, 16)]),
        (3, [0, 1, 2]),
        (20, [*range(21)]),
        (100, [*range(21)]),
    ],
)
def test_images_are_chosen_in_groups(images, expected):
    assert spread_images(range(21), images) == expected


def test_groups_are_evenly_spread():
    chosen = spread_images(range(100, 164), 16)
    assert chosen == [*range(100, 108), *range(132, 140)]


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """A run with a guard, the same resumed, and one without."""
    batches = [images(2, 3, 32, 32, seed=s) for s in range(6)]
    folder, made = tmp_path_factory.mktemp('held_out'), []
    for guard, resume in ((4, False), (4, True), (0, False)):
        net = Net(vit()).eval()
        net.test_step = net.forward
        with torch.no_grad():
            done = quantize_model(
                net, settings(guard), batches, folder / f'{guard}.pth', resume
            )
            made.append((done, copy.deepcopy(net(batches[0]))))
    return made


def test_all_images_are_in_the_record_at_the_end(results):
    (guarded, _), _, (plain, _) = results
    with_guard, without = (r.records['backbone'].values for r in (guarded, plain))
    assert {k: s.count for k, s in with_guard.items()} == {
        k: s.count for k, s in without.items()
    }
    assert with_guard['input:0'].state_dict().keys()


def test_the_guard_has_a_say_and_a_time(results):
    (guarded, outputs), _, (plain, others) = results
    assert 'guard' in guarded.seconds and 'guard' not in plain.seconds
    assert guarded.records['backbone'].observers
    assert not plain.records['backbone'].observers
    assert not same(outputs, others)


def test_a_resumed_run_is_the_same(results):
    (guarded, outputs), (resumed, again), _ = results
    assert same(outputs, again)
    assert (
        resumed.records['backbone'].observers == guarded.records['backbone'].observers
    )
