"""The examples in docstrings print what they say."""

import doctest
import importlib

import pytest

#: By module: the least number of lines that its examples run.
EXAMPLES = {
    'iptq_mm.functions.softmax.shiftmax': 7,
    'iptq_mm.intmath.dyadic': 6,
    'iptq_mm.intmath.isqrt': 1,
    'iptq_mm.intmath.qparams': 7,
    'iptq_mm.operations.base': 3,
    'iptq_mm.qtensor.tensor': 9,
}


@pytest.mark.parametrize('name', EXAMPLES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0 and result.attempted >= EXAMPLES[name]
