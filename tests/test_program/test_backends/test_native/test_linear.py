"""Products: any shape, any input and output range, with what becomes part of them."""

import pytest
import torch
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    add,
    check,
    function,
    linear,
    move,
    program,
    weights,
)

from iptq_mm.intmath import QParams
from iptq_mm.native.commands import Gemm
from iptq_mm.program.runtime.dynamic_rows.proof import with_rows


def gemms(native):
    """Its products."""
    return [c for c in native.commands if isinstance(c, Gemm)]


@pytest.mark.parametrize('bits', [8, 4])
@pytest.mark.parametrize(
    'm, k, n',
    [(1, 1, 1), (5, 3, 17), (13, 30, 33), (7, 64, 48), (50, 96, 100), (251, 8, 72)],
)
def test_any_shape(level, m, k, n, bits):
    native = check(
        program(
            lambda r: linear(
                r,
                r.input((m, k), -128, 127, 1.0),
                weights(n, k, bits),
                SIGNED_BYTES,
                0.02 if bits == 8 else 0.2,
            )
        )
    )
    assert gemms(native)[0].bits == bits


@pytest.mark.parametrize('low', [-128, -37, 0, -255])
@pytest.mark.parametrize(
    'bounds, ratio',
    [
        ((-90, 165), 0.02),  # asymmetric bytes
        (WIDE, 0.3),
        (WIDE, 0.9),  # shifts of less than 32
        (WIDE, 3.0),
        ((-(2**30), 2**30), 40.0),  # 32 bits
        (SIGNED_BYTES, 700.0),  # nearly all saturated
    ],
)
def test_ranges(level, low, bounds, ratio):
    check(
        program(
            lambda r: linear(
                r, r.input((9, 20), low, low + 255, 1.0), weights(19, 20), bounds, ratio
            )
        )
    )


def test_accumulators_near_32_bits(level):
    weight = torch.full((3, 60000), 127, dtype=torch.int8)
    weight[1] = -127
    made = program(
        lambda r: linear(r, r.input((2, 60000), -128, 127, 1.0), weight, WIDE, 3.0)
    )
    assert not gemms(check(made))[0].quick


@pytest.mark.parametrize('bits', [8, 4])
def test_deep_products_in_steps(level, bits):
    """Weights of so many depths do not stay in the cache: partial sums are kept."""
    weight = weights(70, 6001, bits)
    ratio = 0.0004 if bits == 8 else 0.006

    def build(r):
        return linear(r, r.input((300, 6001), -128, 127, 1.0), weight, WIDE, ratio)

    check(program(build))


def test_rows_apart(level):
    """Rows of a larger tensor, and columns that nobody wants."""

    def build(r):
        x = r.input((6, 5, 24), -128, 127, 1.0)
        part = move(
            r,
            x,
            'slice',
            (6, 1, 20),
            starts=[0, 2, 3],
            sizes=[6, 1, 20],
            steps=[1, 1, 1],
        )
        return linear(r, part, weights(16, 20), SIGNED_BYTES, 0.03)

    check(program(build))


@pytest.mark.parametrize(
    'name, bounds, scale',
    [
        ('table_gelu', (-128, 127), 0.05),
        ('table_gelu', (-60, 195), 0.03),
        ('interpolated_gelu', WIDE, 3e-4),
        ('interpolated_gelu', (-2000, 3000), 2e-3),
        ('poly_gelu', WIDE, 3e-4),
    ],
)
@pytest.mark.parametrize('n', [5, 64, 84])
def test_gelu_is_part_of_the_product(level, name, bounds, scale, n):
    out = QParams(0.02, -9, 246)

    def build(r):
        x = r.input((8, 40), -128, 127, 1.0)
        ratio = bounds[1] / 20000
        wide = linear(r, x, weights(n, 40), bounds, ratio)
        return function(r, name, wide, scale, out)

    native = check(program(build))
    assert len(gemms(native)) == 1 and gemms(native)[0].post == 1
    table = gemms(native)[0].line.table
    assert bool(table) == (name == 'interpolated_gelu')


@pytest.mark.parametrize('n', [5, 16, 17, 33, 48, 64, 70])
@pytest.mark.parametrize('bounds', [WIDE, (-300, 4000), (-100, 155)])
def test_any_number_of_columns(level, bounds, n):
    """Panels of one to four vectors, the last one whole or not; words and bytes."""

    def build(r):
        x = r.input((9, 40), -128, 127, 1.0)
        return linear(r, x, weights(n, 40), bounds, bounds[1] / 20000)

    check(program(build))


@pytest.mark.parametrize('swapped', [False, True])
@pytest.mark.parametrize('bounds', [WIDE, (-100, 155)])
@pytest.mark.parametrize('n', [5, 16, 17, 33, 48, 50, 70])
@pytest.mark.parametrize(
    'factors', [(1.9, 0.3), (0.999, 0.9999), (1.0, 1.0), (3e-4, 7)]
)
def test_residual_add_is_part_of_the_product(level, bounds, swapped, n, factors):
    def build(r):
        x, residual = r.input((9, 40), -128, 127, 1.0), r.input((9, n), *WIDE, 1.0)
        made = linear(r, x, weights(n, 40), WIDE, 0.4)
        operands = [residual, made] if swapped else [made, residual]
        return add(r, operands, (9, n), bounds, factors)

    native = check(program(build))
    assert [g.post for g in gemms(native)] == [2]


def test_windows_go_back_within_the_product(level):
    """Reordered rows, some of them dropped, are added where they belong."""

    def build(r):
        x, residual = r.input((6, 4, 8), -128, 127, 1.0), r.input((23, 16), *WIDE, 1.0)
        made = linear(r, x, weights(16, 8), WIDE, 0.4)
        turned = move(r, made, 'permute', (4, 6, 16), dims=[1, 0, 2])
        rolled = move(r, turned, 'roll', (4, 6, 16), shifts=[1, -2], dims=[0, 1])
        flat = move(r, rolled, 'reshape', (24, 16), shape=[24, 16])
        part = dict(starts=[1, 0], sizes=[23, 16], steps=[1, 1])
        kept = move(r, flat, 'slice', (23, 16), **part)
        return add(r, [residual, kept], (23, 16), WIDE)

    native = check(program(build))
    assert gemms(native)[0].rows and gemms(native)[0].post == 2


def test_results_with_other_users_stay(level):
    """A product whose result is an output, too, is not changed."""

    def build(r):
        x, residual = r.input((9, 40), -128, 127, 1.0), r.input((9, 50), *WIDE, 1.0)
        made = linear(r, x, weights(50, 40), WIDE, 0.4)
        return [made, add(r, [made, residual], (9, 50), WIDE)]

    assert gemms(check(program(build)))[0].post == 0


def test_rows_that_repeat(level):
    def build(r):
        x = move(r, r.input((1, 24), -128, 127, 1.0), 'expand', (5, 24), shape=[5, 24])
        return linear(r, x, weights(16, 24), SIGNED_BYTES, 0.03)

    check(program(build))


def test_what_cannot_be_done_changes_nothing():
    """An attempt that fails late leaves the steps before it as they were."""

    def build(r):
        x, wide = r.input((4, 24), -128, 127, 1.0), r.input((4, 16), *WIDE, 1.0)
        made = linear(r, x, weights(16, 24), WIDE, 0.4)
        constants = {'left': 2**31 + 1, 'right': 5, 'shift': 34}
        return r.node('add', [made, wide], (4, 16), WIDE, constants)

    native = check(program(build), fallbacks=1)
    assert native.fallbacks == {'add: a factor of more than 32 bits': 1}
    assert gemms(native)[0].post == 0


def test_programs_share_packed_weights():
    """Those for other numbers of rows, as the heads of a detector have them."""

    def build(r):
        x = r.input((3, 20), -128, 127, 1.0)
        return linear(r, x, weights(33, 20), WIDE, 0.4)

    made = program(build)
    few, many = check(made), check(with_rows(made, 7))
    assert gemms(few)[0].weights == gemms(many)[0].weights
    made.tensors['weight'].neg_()
    assert gemms(check(made))[0].weights != gemms(few)[0].weights
