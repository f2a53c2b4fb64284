"""Products of activations outside of attention."""

import pytest
import torch
from native_cases import SIGNED_BYTES, WIDE, check, function, matmul, move, program

from iptq_mm.intmath import QParams, dyadic


@pytest.mark.parametrize('m, k, n', [(1, 1, 1), (7, 5, 3), (13, 40, 70), (6, 64, 64)])
@pytest.mark.parametrize('bits', [8, 12, 16])
@pytest.mark.parametrize('right', [SIGNED_BYTES, WIDE])
def test_constant_left_operands(level, m, k, n, bits, right):
    """Queries that are parameters, as those of a pooling head."""
    most = 2 ** (bits - 1) - 1

    def build(r):
        generator = torch.Generator().manual_seed(k)
        query = torch.randint(-most, most + 1, (2, m, k), generator=generator)
        query[0, 0] = -most
        kept = torch.int8 if bits == 8 else torch.int16
        name = r.tensor(query.to(kept), 'query')
        b = r.input((2, k, n), *right, 1.0)
        bound = k * most * r.values[b].bound
        factor = dyadic(1e3 / bound, max(32, bound.bit_length() + 1))
        constants = dict(bound=bound, multiplier=factor.multiplier, shift=factor.shift)
        return r.node('matmul', [name, b], (2, m, n), WIDE, constants)

    check(program(build))


def test_a_constant_left_operand_for_all_groups(level):
    """One query for all images; keys are transposed and given in strides."""

    def build(r):
        query = torch.arange(-12, 12, dtype=torch.int8).view(1, 2, 1, 12)
        name = r.tensor(query, 'query')
        keys = r.input((3, 2, 9, 12), *SIGNED_BYTES, 1.0)
        turned = move(r, keys, 'permute', (3, 2, 12, 9), dims=[0, 1, 3, 2])
        factor = dyadic(0.01, 40)
        constants = dict(
            bound=12 * 12 * 128, multiplier=factor.multiplier, shift=factor.shift
        )
        return r.node('matmul', [name, turned], (3, 2, 1, 9), WIDE, constants)

    check(program(build))


@pytest.mark.parametrize('m, k, n', [(1, 1, 1), (7, 5, 3), (13, 40, 70), (6, 64, 64)])
@pytest.mark.parametrize('left', [SIGNED_BYTES, (-30, 225), (-3000, 5000)])
def test_products(level, m, k, n, left):
    def build(r):
        a, b = r.input((2, m, k), *left, 1.0), r.input((2, k, n), *SIGNED_BYTES, 1.0)
        return matmul(r, a, b, (2, m, n), (-100, 155), 0.9 / left[1])

    check(program(build))


def test_products_with_swapped_and_shared_operands(level):
    def build(r):
        a = r.input((3, 2, 5, 16), *SIGNED_BYTES, 1.0)
        b = r.input((2, 9, 16), *SIGNED_BYTES, 1.0)
        swapped = move(r, b, 'permute', (2, 16, 9), dims=[0, 2, 1])
        return matmul(r, a, swapped, (3, 2, 5, 9), WIDE, 0.1)

    check(program(build))


def test_probabilities_that_are_used_twice(level):
    """No attention, since softmax is an output, too; sums stay below 32 bits."""

    def build(r):
        x = r.input((2, 6, 600), *WIDE, 1.0)
        v = r.input((2, 600, 8), *SIGNED_BYTES, 1.0)
        out = QParams(1 / 65535, 0, 65535)
        p = function(r, 'table_softmax', x, 1e-3, out)
        return [p, matmul(r, p, v, (2, 6, 8), WIDE, 0.003)]

    check(program(build))
