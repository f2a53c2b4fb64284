"""Who is timed, who is not, and why."""

import pytest
import torch
from bench import measure as module
from bench.contenders import CONTENDERS, REFERENCE, Contender, Prepared, Unavailable
from bench.measure import measure, same, sqnr

pytestmark = pytest.mark.usefixtures('one_thread')


class Planted(Contender):
    """Does as it is told."""

    def __init__(self, name, prepare, integers=False):
        self.name, self.integers, self._prepare = name, integers, prepare

    def prepare(self, case):
        return self._prepare(case)


@pytest.fixture
def plant(monkeypatch):
    def planted(name, prepare, **options):
        contender = Planted(name, prepare, **options)
        monkeypatch.setitem(CONTENDERS, name, contender)

    return planted


def test_integers_are_compared_and_timed(tiny_case):
    said = []
    done = measure(tiny_case, ['integer_reference'], 2, 0.001, said.append)
    assert list(done['contenders']) == [REFERENCE, 'integer_reference']
    entry = done['contenders']['integer_reference']
    assert len(entry['seconds']) == 2 and min(entry['seconds']) > 0
    assert entry['sqnr'] > 10 and 'wrong' not in entry
    assert done['contenders'][REFERENCE]['sqnr'] is None  # it is the float model
    assert done['functions'] == dict(tiny_case.functions) and len(said) == 2


def test_a_bit_too_many_is_wrong(tiny_case, plant):
    def almost(case):
        outputs = case.integer_outputs[0].clone()
        outputs[0, 0] = torch.nextafter(outputs[0, 0], torch.tensor(1e9))
        return Prepared(lambda: outputs)

    plant('almost', almost, integers=True)
    entry = measure(tiny_case, ['almost'], 1, 0.001)['contenders']['almost']
    assert 'integer mode' in entry['wrong'] and 'seconds' not in entry


def test_who_is_missing_is_left_out(tiny_case, plant):
    def missing(case):
        raise Unavailable('there is none')

    said = []
    plant('missing', missing)
    done = measure(tiny_case, ['missing'], 1, 0.001, said.append)
    assert done['contenders']['missing'] == {'missing': 'there is none'}
    assert 'left out (there is none)' in said[-1] and done['functions'] == {}


def test_a_failure_stops_nobody_else(tiny_case, plant):
    def fails(case):
        raise ZeroDivisionError('by zero')

    plant('fails', fails)
    done = measure(tiny_case, ['fails'], 1, 0.001)['contenders']
    assert done['fails'] == {'wrong': 'ZeroDivisionError: by zero'}
    assert done[REFERENCE]['seconds']


def test_sqnr_is_that_of_the_worst_output():
    real = [torch.ones(100), torch.ones(50)]
    assert sqnr(real, real) is None
    assert sqnr(real, [real[0] * 1.1, real[1] * 1.01]) == pytest.approx(20, abs=1e-4)
    with pytest.raises(ValueError, match='shapes'):
        sqnr(real, real[:1])


def test_same_needs_all_outputs():
    x = torch.arange(3.0)
    assert same([x], [x.clone()]) and not same([x], [x, x]) and not same([x], [x + 1])


def test_a_case_makes_things_once(tiny_case):
    made = [tiny_case.once('key', lambda: object()) for _ in range(2)]
    assert made[0] is made[1]


def test_lines_say_what_is_going_on():
    assert module._state({'ready': 1.25}) == 'ready after 1.2 s'
    assert module._state({'wrong': 'x'}).startswith('WRONG')
