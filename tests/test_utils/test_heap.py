"""Freed memory goes back to the system."""

import ctypes
import subprocess
import sys

import pytest

from iptq_mm.utils.heap import give_back

#: Small blocks lie on the heap, whose end the last one keeps: none goes by itself.
SCRIPT = """
import re
from iptq_mm.utils.heap import give_back

def resident():
    text = open('/proc/self/status').read()
    return int(re.search(r'VmRSS:\\s+(\\d+)', text)[1]) / 1024

blocks = [bytearray(50_000) for _ in range(2000)]
last = bytearray(50_000)
del blocks
before = resident()
give_back()
print(before - resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'malloc_trim'), reason='no glibc')
def test_a_process_gets_smaller():
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 50


@pytest.mark.parametrize('error', [OSError, TypeError])
def test_other_systems_have_none(monkeypatch, error):
    def load(name):
        raise error

    monkeypatch.setattr(ctypes, 'CDLL', load)
    give_back()


def test_other_libraries_have_none(monkeypatch):
    monkeypatch.setattr(ctypes, 'CDLL', lambda name: object())
    give_back()
