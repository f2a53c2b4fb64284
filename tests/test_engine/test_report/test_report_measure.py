"""Errors by site are those of plain tensors, and channels may have other scales."""

import math

import pytest
import torch

from iptq_mm.engine.layers.watching import MOST, Seen, sampled
from iptq_mm.engine.report.measure import SiteErrors
from iptq_mm.utils.decibels import decibels


def seen(kind, result, operand=None):
    operand = torch.zeros(1) if operand is None else operand
    return sampled(Seen(kind, operand, result))


def power(x):
    return float(x.double().square().sum())


def test_errors_are_those_of_the_tensors():
    torch.manual_seed(0)
    errors, signal, error = SiteErrors(False), 0.0, 0.0
    before = [0.0, 0.0]
    for _ in range(3):
        x, e, a, b = (torch.randn(2, 5, 8) for _ in range(4))
        errors.add(seen('gelu', x + 0.01 * e, a + 0.1 * b), seen('gelu', x, a))
        signal, error = signal + power(x), error + power((x + 0.01 * e) - x)
        before = [before[0] + power(a), before[1] + power((a + 0.1 * b) - a)]
    found = errors.plain()
    assert found['sqnr_db'] == round(decibels(signal, error), 2)
    assert found['input_sqnr_db'] == round(decibels(*before), 2)
    assert sum(found['float']) == sum(found['integer']) == 3 * 80


@pytest.mark.parametrize(
    ('kind', 'shape', 'factors'),
    [
        ('linear', (2, 7, 8), (8,)),
        ('conv2d', (2, 8, 5, 5), (1, 8, 1, 1)),
        ('matmul', (2, 3, 7, 4), (1, 3, 1, 4)),
        ('linear', (3, 600, 96), (96,)),  # more than are looked at
    ],
)
def test_other_scales_of_channels_are_no_error(kind, shape, factors):
    torch.manual_seed(1)
    x, scales = torch.randn(shape), 2.0 ** torch.randint(-3, 4, factors)
    plain, fitted = SiteErrors(False), SiteErrors(True)
    for errors in (plain, fitted):
        errors.add(seen(kind, x * scales), seen(kind, x))
    assert plain.plain()['sqnr_db'] < 5
    assert fitted.plain()['sqnr_db'] > 100
    noisy = SiteErrors(True)
    e = 0.01 * torch.randn(shape)
    noisy.add(seen(kind, (x + e) * scales), seen(kind, x))
    level = 10 * math.log10(power(x) / power(e))
    assert noisy.plain()['sqnr_db'] == pytest.approx(level, abs=1.0)
    assert 'integer' not in noisy.plain()


def test_channels_of_a_sample():
    shape = (2, 3, 500, 64)
    assert math.prod(shape) > MOST
    heads = torch.arange(3).view(1, 3, 1, 1) * 64 + torch.arange(64)
    found = seen('matmul', heads.expand(shape).float())
    assert torch.equal(found.channels, found.result.long())
    maps = torch.arange(32).view(1, 32, 1, 1).expand(4, 32, 40, 30).float()
    found = seen('conv2d', maps)
    assert torch.equal(found.channels, found.result.long())


def test_one_value_of_a_channel_has_no_best_scale():
    """It would fit exactly, whatever the error."""
    torch.manual_seed(2)
    x, e = torch.randn(1, 6), 0.1 * torch.randn(1, 6)
    errors = SiteErrors(True)
    errors.add(seen('linear', x + e), seen('linear', x))
    assert errors.plain()['sqnr_db'] == round(decibels(power(x), power((x + e) - x)), 2)


def test_the_channel_that_reaches_farthest():
    x = torch.ones(4, 20, 8)
    x[..., 5] = -40.0
    errors = SiteErrors(False)
    errors.add(seen('linear', x), seen('linear', x))
    found = errors.plain()
    assert (found['outlier'], found['outlier_channel']) == (40.0, 5)
