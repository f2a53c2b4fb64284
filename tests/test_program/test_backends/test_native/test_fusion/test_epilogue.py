"""Nodes that become part of the epilogue of the product before them."""

import pytest
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    add,
    check,
    conv,
    function,
    gemms,
    linear,
    move,
    program,
    relu,
    requantize,
    to_levels,
    weights,
)

from iptq_mm.intmath import QParams
from iptq_mm.native.commands import ADD, NOTHING, RESCALE, TABLE, Copy, Gather


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
    assert len(gemms(native)) == 1 and gemms(native)[0].post == TABLE
    table = gemms(native)[0].line.table
    assert bool(table) == (name == 'interpolated_gelu')


@pytest.mark.parametrize(
    ('bounds', 'scale', 'out', 'line'),
    [
        (WIDE, 3e-4, QParams(3e-4, -600, 32000), True),
        (WIDE, 3e-4, QParams(1.2e-4, -32767, 32767), True),
        ((-2000, 3000), 2e-3, QParams(2e-3, -300, 2900), True),
        ((-2000, 32767), 6e-4, QParams(3e-4, -600, 32767), True),
        ((-9, 32767), 6e-4, QParams(8e-6, -32768, 32767), False),
    ],
)
@pytest.mark.parametrize('n', [5, 16, 33, 64, 84])
def test_gelu_with_results_of_words(level, bounds, scale, out, line, n):
    def build(r):
        x = r.input((8, 40), -128, 127, 1.0)
        wide = linear(r, x, weights(n, 40), bounds, bounds[1] / 20000)
        return function(r, 'interpolated_gelu', wide, scale, out)

    (gemm,) = gemms(check(program(build)))
    assert gemm.post == TABLE and bool(gemm.line.table) == line


def test_programs_share_tables():
    """Those of the same function: programs for other sizes of images have it, too."""

    def of(name='poly_gelu', rows=8, scale=3e-4, zero_point=-9):
        def build(r):
            x = r.input((rows, 40), -128, 127, 1.0)
            wide = linear(r, x, weights(5, 40), WIDE, WIDE[1] / 20000)
            return function(r, name, wide, scale, QParams(0.02, zero_point, 246))

        return check(program(build))

    first = of()
    table = gemms(first)[0].table
    assert gemms(of(rows=3))[0].table == table
    others = [of(scale=4e-4), of(zero_point=-8), of(name='interpolated_gelu')]
    assert all(gemms(other)[0].table != table for other in others)


@pytest.mark.parametrize(
    'name, bounds, scale',
    [
        ('table_gelu', (-60, 195), 0.03),
        ('interpolated_gelu', WIDE, 3e-4),
        ('interpolated_gelu', (-128, 127), 0.05),
        ('poly_gelu', WIDE, 3e-4),
    ],
)
@pytest.mark.parametrize('n', [5, 64, 84])
def test_levels_are_part_of_the_table(level, name, bounds, scale, n):
    out = QParams(0.02, -9, 246, (-9, -3, 0, 5, 90, 200))

    def build(r):
        x = r.input((8, 40), -128, 127, 1.0)
        wide = linear(r, x, weights(n, 40), bounds, bounds[1] / 20000)
        return to_levels(r, function(r, name, wide, scale, out), out)

    (gemm,) = gemms(check(program(build)))
    assert gemm.post == TABLE
    assert bool(gemm.line.codes) == bool(gemm.line.table)


def test_levels_of_a_product(level):
    out = QParams(0.02, -60, 195, (-60, -3, 0, 5, 90, 180))

    def build(r):
        x = r.input((8, 40), -128, 127, 1.0)
        made = linear(r, x, weights(70, 40), (-60, 195), 0.01)
        return to_levels(r, made, out)

    assert gemms(check(program(build)))[0].post == TABLE


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
    assert [g.post for g in gemms(native)] == [ADD]


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
    assert gemms(native)[0].rows and gemms(native)[0].post == ADD


def test_results_with_other_users_stay(level):
    """A product whose result is an output, too, is not changed."""

    def build(r):
        x, residual = r.input((9, 40), -128, 127, 1.0), r.input((9, 50), *WIDE, 1.0)
        made = linear(r, x, weights(50, 40), WIDE, 0.4)
        return [made, add(r, [made, residual], (9, 50), WIDE)]

    assert gemms(check(program(build)))[0].post == NOTHING


@pytest.mark.parametrize('wide', [WIDE, (-128, 127), (-100, 155), (-40000, 40000)])
@pytest.mark.parametrize('narrow', [SIGNED_BYTES, (0, 255), (-5, 250), WIDE])
def test_scales_and_relus_are_part_of_the_product(level, wide, narrow):
    """Two convolutions, nothing between them but what each does itself."""

    def build(r):
        x = conv(r, r.input((1, 20, 6, 7), -128, 127, 1.0), 18, 3, wide, 0.1, padding=1)
        x = requantize(r, relu(r, x), narrow)
        if narrow == WIDE:
            return relu(r, x)
        return relu(r, conv(r, x, 5, 1, WIDE, 0.5))

    native = check(program(build))
    made = gemms(native)
    assert len(made) == (1 if narrow == WIDE else 2) and made[0].post == RESCALE
    # The input and the output are brought into another order.
    assert len(native.commands) == len(made) + 2


def test_relu_after_a_sum(level):
    def build(r):
        x, other = r.input((9, 40), -128, 127, 1.0), r.input((9, 50), *WIDE, 1.0)
        made = linear(r, x, weights(50, 40), WIDE, 0.4)
        return relu(r, add(r, [made, other], (9, 50), WIDE))

    assert gemms(check(program(build)))[0].post == ADD


def test_transposed_convolution(level):
    """A convolution whose channels become pixels, ReLU, and one more."""

    def build(r):
        x = conv(r, r.input((3, 8, 4, 5), -128, 127, 1.0), 4 * 20, 1, WIDE, 0.4)
        x = move(r, x, 'reshape', (3, 20, 2, 2, 4, 5), shape=[3, 20, 2, 2, 4, 5])
        x = move(r, x, 'permute', (3, 20, 4, 2, 5, 2), dims=[0, 1, 4, 2, 5, 3])
        x = move(r, x, 'reshape', (3, 20, 8, 10), shape=[3, 20, 8, 10])
        x = requantize(r, relu(r, x), (0, 255))
        return conv(r, x, 7, 1, WIDE, 0.4)

    native = check(program(build))
    assert len(gemms(native)) == 2 and len(native.commands) == 4


def upsampled(r, x):
    n, c, h, w = r.values[x].shape
    x = move(r, x, 'reshape', (n, c, h, 1, w, 1), shape=[n, c, h, 1, w, 1])
    x = move(r, x, 'expand', (n, c, h, 2, w, 2), shape=[n, c, h, 2, w, 2])
    return move(r, x, 'reshape', (n, c, 2 * h, 2 * w), shape=[n, c, 2 * h, 2 * w])


def test_pyramid(level):
    """Lateral convolutions, top-down sums, and every second pixel of the top."""

    def build(r):
        fine = r.input((2, 12, 6, 10), *SIGNED_BYTES, 1.0)
        coarse = r.input((2, 24, 3, 5), *SIGNED_BYTES, 1.0)
        top = conv(r, coarse, 32, 1, WIDE, 0.3)
        sums = conv(r, fine, 32, 1, WIDE, 0.4)
        sums = add(r, [sums, upsampled(r, top)], (2, 32, 6, 10), WIDE)
        levels = [
            conv(r, requantize(r, x, SIGNED_BYTES), 32, 3, WIDE, 0.1, padding=1)
            for x in (sums, top)
        ]
        part = dict(starts=[0] * 4, sizes=[2, 32, 2, 3], steps=[1, 1, 2, 2])
        return [*levels, move(r, levels[1], 'slice', (2, 32, 2, 3), **part)]

    native = check(program(build))
    assert sum(g.post == ADD for g in gemms(native)) == 1
    assert not any(isinstance(c, Gather) for c in native.commands)
    # Two inputs, three outputs; the upsampled map is read where it is.
    assert sum(isinstance(c, Copy) for c in native.commands) == 5
