"""Quantizers with levels: which integers they make of integers and of real values."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import QParams
from iptq_mm.intmath.levels import level_table

some_levels = st.sets(st.integers(-60, 195), min_size=1).map(
    lambda found: tuple(sorted(found | {0}))
)


@settings(deadline=None)
@given(some_levels)
def test_the_table_has_the_nearest_level(levels):
    table = level_table(levels, -60, 195).tolist()
    for q, level in zip(range(-60, 196), table, strict=True):
        # Of two that are equally near, the upper one.
        assert level == min(levels, key=lambda x: (abs(x - q), -x))


@settings(deadline=None)
@given(some_levels, st.lists(st.floats(-9, 9), min_size=1))
def test_values_become_levels(levels, values):
    uniform, x = QParams(0.02, -60, 195), QParams(0.02, -60, 195, levels)
    real = torch.tensor(values, dtype=torch.float64)
    expected = level_table(levels, -60, 195)[uniform.quantize(real).long() + 60]
    found = x.quantize(real)
    assert found.dtype == torch.int16 and torch.equal(found.int(), expected)
    assert torch.equal(x.to_levels(found), found)
    wide = (real / 0.02).round().long().view(1, -1)
    assert torch.equal(x.saturate(wide), found.view(1, -1))
    assert set(found.tolist()) <= set(levels)


def test_bits_of_integers_and_of_codes():
    x = QParams(0.5, -1, 254, (-1, 0, 1, 2, 90))
    assert (x.bits, x.code_bits) == (8, 3)
    assert QParams(0.5, -1, 254).code_bits == 8
    assert QParams(0.5, -1, 254, (0, 7)).code_bits == 1


def test_out_and_in_again():
    x = QParams(0.5, -1, 254, (-1, 0, 1, 90))
    assert QParams.from_dict(json.loads(json.dumps(x.to_dict()))) == x
    assert x != QParams(0.5, -1, 254)
    assert 'levels' not in QParams(0.5, -1, 254).to_dict()


@pytest.mark.parametrize(
    'levels', [(1, 2), (0, 2, 1), (0, 0, 1), (-2, 0), (0, 255), ()]
)
def test_levels_that_are_none(levels):
    with pytest.raises(ValueError, match=r'are not integers of -1\.\.254'):
        QParams(0.5, -1, 254, levels)
