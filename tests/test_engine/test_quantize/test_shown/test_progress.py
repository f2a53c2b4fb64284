"""Progress of a phase: how far it is, and the time that is left."""

import pytest

from iptq_mm.engine.quantize import progress
from iptq_mm.engine.quantize.progress import progress_of
from iptq_mm.utils.durations import duration


@pytest.fixture
def lines(monkeypatch):
    """What is logged; each batch takes the time that the test says."""
    said, now = [], [0.0]
    monkeypatch.setattr(progress, 'log', said.append)
    monkeypatch.setattr(progress.time, 'perf_counter', lambda: now[0])

    def run(count, seconds, total=True):
        said.clear()
        for _ in progress_of(range(count), 'evaluate', count if total else None):
            now[0] += seconds
        return list(said)

    return run


def test_ten_lines_of_a_short_phase(lines):
    said = lines(20, 1.0)
    assert len(said) == 10
    assert said[0] == 'evaluate: batch 2/20, 2 s, 18 s left'
    assert said[-1] == 'evaluate: batch 20/20, 20 s, 0 s left'


def test_a_long_phase_says_soon_how_long_it_will_take(lines):
    """17 hours: the first line after half a minute, not after 1.7 hours."""
    said = lines(5000, 12.0)
    assert said[0] == 'evaluate: batch 3/5000, 36 s, 16 h 39 min left'
    assert 20 < len(said) < 100


def test_without_a_total(lines):
    assert lines(100, 1.0, total=False)[0] == 'evaluate: batch 10/?, 10 s'


def test_durations():
    assert [duration(s) for s in (0.4, 59.6, 61, 3599.7, 61200)] == [
        '0 s',
        '1 min 0 s',
        '1 min 1 s',
        '1 h 0 min',
        '17 h 0 min',
    ]
