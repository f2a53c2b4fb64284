"""Decibels that JSON can hold."""

import math

import pytest

from iptq_mm.utils.decibels import decibels


@pytest.mark.parametrize(
    'signal, error, found',
    [
        (100.0, 1.0, 20.0),
        (1.0, 100.0, -20.0),
        (1.0, 0.0, 300.0),
        (0.0, 0.0, 300.0),
        (0.0, 1.0, -300.0),
        (1.0, math.inf, -300.0),
        (1.0, math.nan, -300.0),
        (math.inf, 1.0, 300.0),
        (1e300, 1e-30, 300.0),
        (5e-324, 1e10, -300.0),  # the ratio underflows
    ],
)
def test_decibels(signal, error, found):
    assert decibels(signal, error) == found
