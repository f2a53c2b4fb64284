"""Parameters in as few bits as their plans say."""

import pytest
import torch

from iptq_mm.intmath.weight_codes import most_code, most_factor
from iptq_mm.plan import ParameterPlan
from iptq_mm.plan.packing import is_packed, pack_parameter, unpack_parameter


def _plan(bits, shape, group=0, role='weight'):
    return ParameterPlan(role, bits, shape, [1.0] * shape[0], group)


def _codes(bits, shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    most = most_code(bits)
    codes = torch.randint(-most, most + 1, shape, generator=generator)
    codes.view(-1)[:2] = torch.tensor([-most, most])
    return codes.to(torch.int8)


@pytest.mark.parametrize('bits', range(2, 8))
@pytest.mark.parametrize('shape', [(5, 7), (3, 5, 3, 3), (1, 2), (64, 64)])
def test_exact_inverse(bits, shape):
    plan, codes = _plan(bits, shape), _codes(bits, shape)
    packed = pack_parameter(plan, codes)
    assert packed.dtype == torch.uint8 and packed.dim() == 1
    assert len(packed) <= 1 + -(-codes.numel() * bits // 8)
    found = unpack_parameter(plan, packed)
    assert found.dtype == torch.int8 and torch.equal(found, codes)


@pytest.mark.parametrize('bits', range(2, 8))
@pytest.mark.parametrize(
    ('shape', 'group'), [((6, 40), 8), ((6, 19), 4), ((4, 3, 5), 2)]
)
def test_groups(bits, shape, group):
    codes = _codes(bits, shape).flatten(1)
    groups = -(-codes.shape[1] // group)
    factors = torch.randint(1, most_factor(bits) + 1, (shape[0], groups))
    factors[0, 0], factors[1, 0] = most_factor(bits), 1
    codes[2, :group] = 0
    products = codes * factors.repeat_interleave(group, 1)[:, : codes.shape[1]]
    plan, integers = _plan(bits, shape, group), products.to(torch.int8).view(shape)
    packed = pack_parameter(plan, integers)
    bit_count = integers.numel() * bits + 4 * shape[0] * groups
    assert len(packed) <= 3 + bit_count // 8
    assert torch.equal(unpack_parameter(plan, packed), integers)


def test_a_common_divisor_beyond_the_largest_factor():
    plan = _plan(4, (1, 4), 4)
    integers = torch.tensor([[48, 96, 0, -48]], dtype=torch.int8)  # 16 * (3, 6, 0, -3)
    assert torch.equal(unpack_parameter(plan, pack_parameter(plan, integers)), integers)


def test_frequent_codes_take_less():
    codes = (
        torch.randn(64, 64, generator=torch.Generator().manual_seed(0)) * 2
    ).round()
    codes = codes.clamp(-7, 7).to(torch.int8)
    packed = pack_parameter(_plan(4, (64, 64)), codes)
    assert len(packed) < 0.97 * 64 * 64 / 2
    assert torch.equal(unpack_parameter(_plan(4, (64, 64)), packed), codes)


def test_what_the_plan_does_not_say_stays():
    assert pack_parameter(_plan(4, (1, 2)), torch.tensor([[8, 1]])) is None
    assert pack_parameter(_plan(4, (1, 2), 2), torch.tensor([[17, 1]])) is None


def test_which_are_packed():
    assert is_packed(_plan(2, (1, 1))) and is_packed(_plan(7, (1, 1)))
    assert not is_packed(_plan(8, (1, 1))) and not is_packed(_plan(16, (1, 1)))


def test_damaged_bytes():
    plan = _plan(4, (4, 4))
    packed = pack_parameter(plan, _codes(4, (4, 4)))
    for damaged in (packed[:-1], packed[:0], packed[:1], packed.clone().fill_(9)):
        with pytest.raises(ValueError, match=r'no packed integers|bytes|integers of'):
            unpack_parameter(plan, damaged)
