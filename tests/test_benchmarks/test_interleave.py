"""Turns, and what becomes of their times."""

import itertools

import pytest
from bench import interleave as module
from bench.interleave import Spread, interleave, ratios, spread
from hypothesis import given
from hypothesis import strategies as st


class Machine:
    """A clock that only calls move, as fast as the machine is just then."""

    def __init__(self, slowness=lambda now: 1.0):
        self.now, self.slowness, self.log = 0.0, slowness, []

    def contender(self, name, *durations):
        """Takes these times, one after the other and the last one for ever."""
        left = itertools.chain(durations, itertools.repeat(durations[-1]))

        def call():
            self.log.append(name)
            self.now += next(left) * self.slowness(self.now)

        return call

    def run(self, rounds=1, **options):
        return interleave(
            self.contenders, rounds, pause=0, clock=lambda: self.now, **options
        )


def test_each_has_a_turn_in_each_round_in_changing_order():
    machine = Machine()
    machine.contenders = {n: machine.contender(n, 1.0) for n in 'abc'}
    taken = machine.run(rounds=20, turn=0.5)
    assert {name: len(s) for name, s in taken.items()} == dict(a=20, b=20, c=20)
    orders = {tuple(machine.log[i : i + 3]) for i in range(0, 60, 3)}
    assert all(sorted(order) == ['a', 'b', 'c'] for order in orders) and len(orders) > 2


def test_the_first_call_of_a_turn_does_not_count():
    machine = Machine()
    machine.contenders = {'a': machine.contender('a', 0.5, 0.1, 0.2, 0.3)}
    assert machine.run(turn=1.0)['a'] == [pytest.approx(0.2)]


def test_of_slow_ones_one_call_is_enough():
    machine = Machine()
    machine.contenders = {'slow': machine.contender('slow', 2.0, 1.0)}
    assert machine.run(turn=1.0) == {'slow': [2.0]} and machine.log == ['slow']


def test_turns_end():
    machine = Machine()
    machine.contenders = {'a': machine.contender('a', 1e-6)}
    machine.run(turn=1.0, calls=5)
    assert len(machine.log) == 6


def test_there_is_a_pause_before_each_turn(monkeypatch):
    pauses = []
    monkeypatch.setattr(module.time, 'sleep', pauses.append)
    interleave({'a': lambda: None, 'b': lambda: None}, 3, turn=0.001, pause=0.02)
    assert pauses == [0.02] * 6


@given(st.lists(st.floats(0.5, 40), min_size=3, max_size=3))
def test_ratios_hold_while_the_clock_of_the_machine_drifts(slowness):
    # Each round lasts six seconds at the most of its slowness: one figure a round.
    machine = Machine(lambda now: slowness[len(machine.log) // 8 % 3])
    machine.contenders = {
        'reference': machine.contender('reference', 0.3),
        'fast': machine.contender('fast', 0.1),
    }
    taken = machine.run(rounds=3, turn=1000.0, calls=3)
    found = ratios(taken['reference'], taken['fast'])
    assert found == pytest.approx([3.0] * 3)


def test_spread_is_the_middle_80_percent():
    assert spread([float(i) for i in range(101)]) == Spread(10, 50, 90)
    assert spread([2.0]) == Spread(2, 2, 2)
    with pytest.raises(ValueError, match='one round'):
        spread([])


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30))
def test_spread_is_ordered_and_within_the_figures(figures):
    low, middle, high = spread(figures)
    assert min(figures) <= low * (1 + 1e-9) and high <= max(figures) * (1 + 1e-9)
    assert low <= middle * (1 + 1e-9) and middle <= high * (1 + 1e-9)
