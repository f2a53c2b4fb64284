import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from synthetic_answers import LARGEST, drawn

from iptq_mm.guarantee import (
    Answers,
    certified_from,
    estimated_from,
    threshold_grid,
)
from iptq_mm.guarantee.thresholds import failures

GRID = threshold_grid(LARGEST)


@given(st.integers(1, 2**17))
def test_a_grid_begins_with_no_flag_and_ends_with_all(largest):
    grid = threshold_grid(largest)
    assert grid[0] == 0 and grid[-1] == largest + 1
    assert grid == sorted(set(grid)) and len(grid) <= 8 * 18


@pytest.mark.parametrize('guarded', [False, True])
@pytest.mark.parametrize('tilted', [False, True])
def test_statements_are_wrong_no_more_often_than_they_say(guarded, tilted):
    generator = torch.Generator().manual_seed(0)
    everyone = drawn(100_000, generator, tilted)
    rate = {t: float(failures(everyone, t, guarded).float().mean()) for t in GRID}
    runs, wrong, useful = 300, 0, 0
    for _ in range(runs):
        some = everyone[torch.randint(100_000, (372,), generator=generator)]
        least = certified_from(some, GRID, 0.99, 0.9, guarded)
        if least is None:
            continue
        wrong += max(rate[t] for t in GRID if t >= least) > 0.01
        useful += least < 400
    # 300 trials of a probability of at most 0.1: more than 46 have one of 1 in 1000.
    assert wrong <= 46
    assert useful > runs // 2  # thresholds that flag everything would never be wrong


def test_a_procedure_that_tests_only_the_best_threshold_would_be_wrong_more_often():
    """The check above can fail."""
    generator = torch.Generator().manual_seed(1)
    everyone = drawn(100_000, generator)
    rate = {t: float(failures(everyone, t, False).float().mean()) for t in GRID}
    wrong = 0
    for _ in range(100):
        some = everyone[torch.randint(100_000, (372,), generator=generator)]
        counts = {t: int(failures(some, t, False).sum()) for t in GRID}
        least = min(t for t in GRID if counts[t] <= 0.01 * 372)
        wrong += rate[least] > 0.01
    assert wrong > 15


def test_too_few_images_certify_nothing():
    few = drawn(298, torch.Generator().manual_seed(0))
    assert certified_from(few, GRID, 0.99, 0.95) is None
    enough = drawn(299, torch.Generator().manual_seed(0))
    assert certified_from(enough, GRID, 0.99, 0.95) is not None


def test_with_perfect_answers_nothing_is_flagged():
    no = torch.zeros(500, dtype=torch.bool)
    margins = torch.arange(500)
    answers = Answers(margins, torch.zeros_like(margins), no, no)
    assert certified_from(answers, GRID, 0.99, 0.95) == 0
    assert estimated_from(answers, GRID, 0.9999) == 0


def test_the_estimate_is_near_the_truth():
    generator = torch.Generator().manual_seed(2)
    everyone = drawn(400_000, generator)
    for target in (0.995, 0.999, 0.9995):
        rates = []
        for _ in range(20):
            some = everyone[torch.randint(400_000, (372,), generator=generator)]
            least = estimated_from(some, GRID, target)
            rates.append(float(failures(everyone, least, False).float().mean()))
        mean = sum(rates) / len(rates)
        assert 0.3 * (1 - target) < mean < 1.7 * (1 - target)


@given(st.integers(0, 10**6))
def test_the_estimate_counts_pairs(seed):
    some = drawn(30, torch.Generator().manual_seed(seed))
    threshold = estimated_from(some, GRID, 0.97)

    def share(least):
        above = some.margins[some.margins >= least]
        return float((some.errors[None] > above[:, None]).sum()) / 900

    assert share(threshold) <= 0.03 + 1e-12
    smaller = [t for t in GRID if t < threshold]
    assert not smaller or share(smaller[-1]) > 0.03
