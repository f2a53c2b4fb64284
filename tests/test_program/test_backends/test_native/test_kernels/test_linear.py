"""Linear layers: any shape, any range of inputs and results."""

import pytest
import torch
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    check,
    gemms,
    linear,
    move,
    program,
    weights,
)


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


@pytest.mark.parametrize('n', [5, 16, 17, 33, 48, 64, 70])
@pytest.mark.parametrize('bounds', [WIDE, (-300, 4000), (-100, 155)])
def test_any_number_of_columns(level, bounds, n):
    """Panels of one to four vectors, the last one whole or not; words and bytes."""

    def build(r):
        x = r.input((9, 40), -128, 127, 1.0)
        return linear(r, x, weights(n, 40), bounds, bounds[1] / 20000)

    check(program(build))


def test_rows_that_repeat(level):
    def build(r):
        x = move(r, r.input((1, 24), -128, 127, 1.0), 'expand', (5, 24), shape=[5, 24])
        return linear(r, x, weights(16, 24), SIGNED_BYTES, 0.03)

    check(program(build))
