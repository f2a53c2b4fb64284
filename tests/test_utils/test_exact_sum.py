"""Sums that depend on no order."""

import math
import pickle
from fractions import Fraction

import pytest
import torch

from iptq_mm.utils.exact_sum import ExactSum, add_by_image, merge_sums


def summed(values):
    total = ExactSum()
    for value in values:
        total.add(value)
    return total


@pytest.mark.parametrize('seed', range(5))
def test_any_order_and_any_division(seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(200, generator=generator, dtype=torch.float64)
    values *= 10.0 ** torch.randint(-300, 300, (200,), generator=generator).double()
    values = values.tolist()
    expected = float(sum(map(Fraction, values)))
    assert float(summed(values)) == expected == math.fsum(values)
    assert float(summed(sorted(values))) == expected
    total = summed(values[:70])
    total.merge(pickle.loads(pickle.dumps(summed(values[70:]))))
    assert float(total) == expected


@pytest.mark.parametrize('value', [5e-324, -1.7976931348623157e308, 0.0, 0.1, -3.0])
def test_one_value(value):
    assert float(ExactSum(value)) == value


def test_not_finite():
    assert float(summed([1.0, math.inf])) == math.inf
    assert math.isnan(float(summed([math.inf, -math.inf])))
    assert math.isnan(float(summed([math.nan, 1.0])))
    assert float(summed([1.7e308, 1.7e308])) == math.inf
    assert float(summed([-1.7e308, -1.7e308])) == -math.inf


@pytest.mark.parametrize('count', [1, 3, 10, 997])
def test_the_mean_of_equal_numbers_is_the_number(count):
    total = ExactSum()
    total.add_product(0.1, count)
    assert total.over(count) == 0.1
    assert float(total) == float(Fraction(0.1) * count)


def test_several_sums_of_a_name():
    sums = {}
    add_by_image(sums, 'a', [[0.1, 0.2], [1.0, 2.0]])
    other = {}
    add_by_image(other, 'a', [[0.3], [3.0]])
    add_by_image(other, 'b', [[1.5]])
    merge_sums(sums, other)
    found = {name: [*map(float, totals)] for name, totals in sums.items()}
    assert found == {'a': [math.fsum([0.1, 0.2, 0.3]), 6.0], 'b': [1.5]}
    assert float(other['b'][0]) == 1.5
