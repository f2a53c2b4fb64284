"""Sums of rows and of their products are exact on every path."""

import pytest
import torch

from iptq_mm.intmath.gram import gram


@pytest.mark.usefixtures('product_path')
@pytest.mark.parametrize('low, high', [(-128, 127), (-3, 250), (30000, 30200)])
@pytest.mark.parametrize('most', [1, 4095, 2**13, 2**14, 2**15])
def test_weighted_sums(low, high, most):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(low, high + 1, (300, 5), generator=generator)
    weights = torch.randint(0, most + 1, (300,), generator=generator)
    weights[0], rows[0] = most, low
    found = gram(rows.to(torch.int16), weights)
    weighted = weights[:, None] * rows
    assert torch.equal(found.total.long(), weighted.sum(0))
    assert torch.equal(found.second.long(), weighted.t() @ rows)
    assert found.total.dtype == found.second.dtype == torch.float64


def test_integers_of_more_than_16_bits():
    with pytest.raises(ValueError, match='beyond 16 bits'):
        gram(torch.full((2, 2), 2**16))
