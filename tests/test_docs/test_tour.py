"""docs/tour.md: its numbers are those of the model, and follow from one another."""

import os
import re
from pathlib import Path

import pytest
import tour_layer

from iptq_mm.intmath import QParams, dyadic
from iptq_mm.intmath.qparams import as_float32

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get('IPTQ_MM_DATA', ROOT / '../shared')).resolve()
#: Scales are sums of floats; what follows from them has their relative error.
TOLERANCE = 1e-5
#: Integers below do not change when a scale changes by so little.
EXACT = 2**20


@pytest.fixture(scope='module')
def printed():
    """The numbers in the tables of the walk, by name."""
    walk = (ROOT / 'docs/tour.md').read_text().partition('## One linear layer')[2]
    rows = re.findall(r'^\| `([^`]+)` \| (-?[\d.]+)(e-?\d+)? \|', walk, re.MULTILINE)
    return {name: digits + exponent for name, digits, exponent in rows}


def _number(text):
    return float(text) if re.search('[.e]', text) else int(text)


def _unit(text):
    """What the last printed digit counts."""
    digits, _, exponent = text.partition('e')
    return 10.0 ** (int(exponent or 0) - len(digits.partition('.')[2]))


@pytest.mark.data
@pytest.mark.slow
def test_numbers_are_those_of_the_model(printed, one_thread, monkeypatch):
    if not (DATA / 'weights').is_dir():
        pytest.skip(f'no weights in {DATA}: set IPTQ_MM_DATA to a folder with them')
    monkeypatch.setenv('IPTQ_MM_DATA', str(DATA))
    computed = tour_layer.calibrated(ROOT)
    assert printed.keys() == computed.keys()
    stale = {}
    for name, text in printed.items():
        number, right = _number(text), computed[name]
        exact = isinstance(right, int) and abs(right) < EXACT
        tolerance = 0 if exact else _unit(text) / 2 + TOLERANCE * abs(right)
        if abs(number - right) > tolerance:
            stale[name] = f'the tour says {text}, it is {right!r}'
    assert not stale


def test_numbers_follow_from_one_another(printed):
    """From the printed scales and sums on, to the last digit, on every machine."""
    p = {name: _number(text) for name, text in printed.items()}
    x = QParams.asymmetric(p['low'], p['high'], 8)
    assert (x.qmin, x.qmax, -x.qmin) == (p['qmin'], p['qmax'], p['zero point'])
    s_x, s_w, s_y = (as_float32(p[name]) for name in ('S_x', 'S_w', 'S_y'))
    assert x.scale == pytest.approx(s_x, rel=TOLERANCE)
    assert p['largest weight'] / 127 == pytest.approx(s_w, rel=TOLERANCE)
    assert round(p['x[4]'] / s_x) == p['q[4]']
    assert round(p['W[2, 4]'] / s_w) == p['w[2, 4]']
    assert tuple(dyadic(s_w * s_x / s_y)) == (p['multiplier'], p['shift'])
    bias = p['bias code'] * as_float32(p['S_b'])
    half = 2 ** (p['shift'] - 1)
    offset = round(bias / s_y * 2 ** p['shift']) + half
    assert offset == p['offset']
    wide = p['acc'] * p['multiplier'] + offset
    assert wide == p['acc * multiplier + offset']
    assert wide >> p['shift'] == p['code'] == round(p['unrounded'])
    assert p['start'] + p['sum of bytes'] == p['acc']
    assert p['S_y * code'] == pytest.approx(p['code'] * s_y, rel=TOLERANCE)


def test_every_number_is_in_a_table(printed):
    assert len(printed) == 33
