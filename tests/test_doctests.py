"""The examples in docstrings print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import iptq_mm

PACKAGE = Path(iptq_mm.__file__).parent
#: Modules with examples.
MODULES = sorted(
    '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)
    for path in PACKAGE.rglob('*.py')
    if '>>> ' in path.read_text(encoding='utf-8')
)


def test_there_are_examples():
    assert len(MODULES) >= 10


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0 and result.attempted > 0
