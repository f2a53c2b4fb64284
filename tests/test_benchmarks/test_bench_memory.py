"""High-water marks of this process."""

import sys

import pytest
import torch
from bench.memory import _forget, _high_water

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


def test_the_mark_rises_with_what_was_used_since():
    _forget()
    before = _high_water()
    torch.ones(16 << 20)  # 64 MB, freed at once
    risen = _high_water()
    assert 48 < risen - before < 96
    _forget()
    assert _high_water() < risen - 32
