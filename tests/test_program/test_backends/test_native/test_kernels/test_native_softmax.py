"""Softmax outside of attention."""

import pytest
from native_cases import WIDE, check, function, program

from iptq_mm.intmath import QParams

NAMES = ['table_softmax', 'i_softmax', 'shiftmax', 'bit_softmax', 'log_int_softmax']


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('size', [1, 9, 70])
@pytest.mark.parametrize('high', [127, 255, 65535, 2**20])
def test_softmax_alone(level, name, size, high):
    def build(r):
        x = r.input((3, 5, size), *WIDE, 1.0)
        return function(r, name, x, 1e-3, QParams(1.0 / high, 0, high))

    check(program(build))


@pytest.mark.parametrize('options', [dict(split='floor'), dict(n=3)])
def test_options_of_softmax(level, options):
    def build(r):
        x = r.input((4, 40), -128, 127, 1.0)
        out = QParams(1 / 255, 0, 255)
        return function(r, 'bit_softmax', x, 0.05, out, options=options)

    check(program(build))
