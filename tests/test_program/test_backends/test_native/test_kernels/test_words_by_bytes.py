"""Products of words by weights of 8 or 4 bits."""

import pytest
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    check,
    conv,
    gemms,
    linear,
    program,
    weights,
)

THIRTEEN = (-4095, 4095)


@pytest.mark.parametrize('m', [1, 15, 16, 17, 300])
@pytest.mark.parametrize('k', [4, 64, 100, 2564, 2700])
@pytest.mark.parametrize('n', [16, 40, 70])
@pytest.mark.parametrize('bits', [8, 4])
def test_words_by_bytes(level, m, k, n, bits):
    """Whole and started tiles, and depths of several slices, at any words."""
    weight = weights(n, k, bits)
    weight[0] = -(2 ** (bits - 1))
    weight[-1, ::2] = 2 ** (bits - 1) - 1

    def build(r):
        x = r.input((m, k), -32768, 32767, 1.0)
        return linear(r, x, weight, WIDE, 2.0 ** -(bits + 2) / k)

    # All of -32768 by -128: 32 bits hold 511 of them.
    (command,) = gemms(check(program(build)))
    most = int(weight.int().abs().sum(1).max()) * 32768
    assert command.halves == (most >= 2**31 - 1)
    assert command.words and (command.bits == bits or command.halves)


@pytest.mark.parametrize('m, k, n', [(3, 24, 16), (33, 128, 80), (20, 36, 33)])
def test_words_by_factors(level, m, k, n):
    """Weights that share factors of groups of depths."""
    weight = weights(n, k, 4)
    weight[:, : k // 2] *= 7

    def build(r):
        x = r.input((m, k), *THIRTEEN, 1.0)
        return linear(r, x, weight, WIDE, 1e-3)

    (command,) = gemms(check(program(build)))
    assert command.words and command.bits in (4, 8)


def test_words_by_deep_bytes(level):
    """Slices of the depth whose first sums are those before them."""
    weight = weights(70, 6001, 8) // 16

    def build(r):
        x = r.input((300, 6001), -4095, 4095, 1.0)
        return linear(r, x, weight, WIDE, 1e-4)

    (command,) = gemms(check(program(build)))
    assert command.words and not command.halves and command.bits in (4, 8)


@pytest.mark.parametrize('channels', [3, 17, 64, 100])
@pytest.mark.parametrize('padding', [0, 2])
@pytest.mark.parametrize('stride, dilation, kernel', [(1, 1, 3), (4, 1, 4), (2, 2, 3)])
def test_windows_of_words_by_bytes(level, channels, stride, dilation, kernel, padding):
    def build(r):
        x = r.input((2, channels, 9, 11), *THIRTEEN, 1.0)
        return conv(r, x, 40, kernel, WIDE, 1e-3, stride, padding, dilation, bits=8)

    (command,) = gemms(check(program(build)))
    assert command.words and command.bits == 8


def test_words_by_bytes_on_several_threads(level, three_threads):
    def build(r):
        x = r.input((700, 192), *WIDE, 1.0)
        return linear(r, x, weights(200, 192, 8), SIGNED_BYTES, 1e-5)

    check(program(build))
