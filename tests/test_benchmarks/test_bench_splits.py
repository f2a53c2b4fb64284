"""Counts of wrong guarantees, over images whose true rates are known."""

from dataclasses import replace

import pytest
import torch
from bench.splits import CHANCE, Count, contradicts, count_splits, most_wrong
from synthetic_answers import LARGEST, drawn


def counted(pool, confidence=0.9):
    return count_splits(
        pool,
        (0.01, LARGEST),
        certifying=400,
        splits=60,
        agreement=0.97,
        confidence=confidence,
    )


def test_sound_guarantees_are_seldom_wrong():
    counts = counted(drawn(1000, torch.Generator().manual_seed(3)))
    assert set(counts) == {'same top-1', 'without a flag', 'guarded'}
    for count in counts.values():
        assert count.made == 60
        assert count.wrong <= most_wrong(60, 0.9) < 20


def test_unsound_guarantees_are_found_out(monkeypatch):
    """Margins that say nothing, of images that certify with too few failures."""
    pool = drawn(1000, torch.Generator().manual_seed(4))
    pool = replace(pool, differ=torch.rand(1000) < 0.12, margins=pool.margins * 0 + 9)
    honest = counted(pool)['without a flag']
    assert honest.wrong <= most_wrong(60, 0.9)

    import iptq_mm.guarantee.certificate as certificate

    monkeypatch.setattr(certificate, 'certified_from', lambda *a, **k: 0)
    monkeypatch.setattr(certificate, 'estimated_from', lambda *a, **k: 0)
    assert counted(pool)['without a flag'].wrong > most_wrong(60, 0.9)


@pytest.mark.parametrize('images, rate', [(650, 0.02), (100, 0.05), (30, 0.3)])
def test_true_rates_are_contradicted_seldom(images, rate):
    from scipy.stats import binom

    first = next(k for k in range(images) if contradicts(k, images, rate))
    assert first > rate * images
    assert (
        binom.sf(first - 1, images, rate) < CHANCE <= binom.sf(first - 2, images, rate)
    )


def test_counts():
    count = Count()
    count.judge(0, 100, 0.01)
    count.judge(2, 100, 0.01)
    count.judge(20, 100, 0.01)
    assert (count.made, count.wrong, count.above) == (3, 1, 2)
