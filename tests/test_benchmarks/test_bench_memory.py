"""High-water marks of this process."""

import sys

import pytest
import torch
from bench.memory import forget, high_water

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


def test_the_mark_rises_with_what_was_used_since():
    forget()
    before = high_water()
    torch.ones(16 << 20)  # 64 MB, freed at once
    risen = high_water()
    assert 48 < risen - before < 96
    forget()
    assert high_water() < risen - 32
