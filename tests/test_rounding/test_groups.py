"""Factors of groups of inputs."""

import pytest
import torch

from iptq_mm.intmath.weight_codes import most_code, most_factor
from iptq_mm.moments import Moments
from iptq_mm.registry import ROUNDINGS
from iptq_mm.rounding.groups import choose_factors, factors_of


def _uneven(rows=6, count=40, seed=0):
    """A weight whose inputs differ a lot in size, and moments of its inputs."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, count, generator=generator, dtype=torch.float64)
    sizes = torch.exp(2 * torch.randn(rows, count // 8, generator=generator))
    weight *= sizes.repeat_interleave(8, 1)
    x = torch.randn(400, count, generator=generator)
    x = (x @ (torch.eye(count) + 0.3) * 9).round().clamp(-127, 127)
    return weight, x.to(torch.int8)


def _moments(x):
    moments = Moments(x.shape[1], 1.0)
    moments.update(x)
    return moments


@pytest.mark.parametrize('bits', [2, 3, 4, 5, 6])
@pytest.mark.parametrize('group', [2, 8, 16])
def test_products_fit_and_are_found_again(bits, group):
    weight, _ = _uneven()
    scale, factors = choose_factors(weight, torch.ones(40), bits, group)
    assert factors.min() >= 1 and factors.max() <= most_factor(bits)
    assert torch.equal(scale, scale.float().double())
    codes = (weight / (scale[:, None] * factors)).round()
    codes = codes.clamp(-most_code(bits), most_code(bits))
    integers = (codes * factors).to(torch.int8)
    assert integers.abs().max() <= most_code(bits) * most_factor(bits) <= 127
    found = factors_of(integers, group)
    # The divisor may be a multiple of the factor: the codes are then smaller.
    assert torch.equal(found % factors, torch.zeros_like(found)) or not codes.all()
    assert torch.equal((integers / found).round() * found, integers.double())
    assert (integers / found).abs().max() <= most_code(bits)


def test_a_group_of_zeros():
    integers = torch.tensor([[0, 0, 6, -9], [4, 0, 0, 0]], dtype=torch.int8)
    assert factors_of(integers, 2).tolist() == [[1, 1, 3, 3], [4, 4, 1, 1]]
    scale, factors = choose_factors(torch.zeros(2, 4).double(), torch.ones(4), 4, 2)
    assert (scale > 0).all() and (factors >= 1).all()


def test_the_last_group_may_be_smaller():
    weight = torch.randn(3, 10, dtype=torch.float64)
    _, factors = choose_factors(weight, torch.ones(10), 4, 4)
    assert factors.shape == (3, 10)
    assert torch.equal(factors[:, 8], factors[:, 9])
    integers = torch.randint(-7, 8, (2, 3, 3, 3))
    assert factors_of(integers, 16).shape == integers.shape


@pytest.mark.parametrize('kind', ['nearest', 'second_order', 'learned'])
def test_groups_err_less(kind):
    weight, x = _uneven()
    rounding = ROUNDINGS.build(dict(type=kind))
    scale = weight.abs().amax(1) / most_code(4)

    def error(group):
        rounded = rounding(weight, scale, 4, _moments(x), group=group)
        assert rounded.codes.dtype == torch.int8
        real = rounded.codes.double() * rounded.scale[:, None]
        return float(((real - weight) @ x.double().T).square().sum())

    assert error(8) < 0.5 * error(0)


def test_second_order_is_better_than_nearest():
    weight, x = _uneven(seed=1)
    scale = weight.abs().amax(1) / most_code(3)

    def error(kind):
        rounded = ROUNDINGS.build(dict(type=kind))(
            weight, scale, 3, _moments(x), group=8
        )
        real = rounded.codes.double() * rounded.scale[:, None]
        return float(((real - weight) @ x.double().T).square().sum())

    assert error('second_order') < 0.8 * error('nearest')


@pytest.mark.parametrize(('bits', 'group'), [(8, 16), (4, 1)])
def test_groups_that_make_no_sense(bits, group):
    weight, x = _uneven()
    for kind in ('nearest', 'second_order'):
        with pytest.raises(ValueError, match='2 to 7 bits'):
            ROUNDINGS.build(dict(type=kind))(
                weight, weight.abs().amax(1), bits, _moments(x), group=group
            )
