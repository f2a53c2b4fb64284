"""Linear layers, convolutions and products of more than 8 bits."""

import pytest
import torch
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    add,
    check,
    conv,
    function,
    gemms,
    linear,
    matmul,
    move,
    program,
    relu,
    weights,
)

from iptq_mm.intmath import QParams
from iptq_mm.native.commands import ADD, NOTHING, TABLE
from iptq_mm.program.backends.native.kernels.weights import pack

TWELVE, THIRTEEN = (-2047, 2047), (-4095, 4095)


@pytest.mark.parametrize(
    'm, k, n',
    [(1, 1, 1), (5, 3, 17), (13, 30, 33), (7, 64, 48), (50, 96, 100), (251, 9, 72)],
)
@pytest.mark.parametrize('bits, given', [(12, THIRTEEN), (8, WIDE), (12, (-37, 218))])
def test_any_shape(level, m, k, n, bits, given):
    """Words times words, times bytes, and bytes times words."""

    def build(r):
        x = r.input((m, k), *given, 1.0)
        return linear(r, x, weights(n, k, bits), WIDE, 5e-4)

    (command,) = gemms(check(program(build)))
    assert command.words and (command.bits == 16) == (bits == 12)


@pytest.mark.parametrize('given', [(0, 65535), (-700, 64835), (-65535, 0)])
@pytest.mark.parametrize('m, k, n', [(1, 1, 1), (13, 30, 33), (50, 96, 100)])
@pytest.mark.parametrize('bits', [8, 14])
def test_unsigned_words(level, m, k, n, bits, given):
    """Probabilities of a Softmax, which layers of other heads read."""
    weight = weights(n, k, bits)
    weight[0] = weight.amax()

    def build(r):
        x = r.input((2, m, k), *given, 1.0)
        return linear(r, x, weight, WIDE, 2.0 ** -(bits + 4))

    (command,) = gemms(check(program(build)))
    assert command.words and command.halves == (bits > 8 and k > 1)


@pytest.mark.parametrize('total', [32800, 40000, 65535])
def test_unsigned_words_whose_sums_just_need_64_bits(level, total):
    """Not with the zero point taken off: the form of 32 bits is not for them."""
    weight = torch.full((20, 800), total // 800, dtype=torch.int8)
    weight[:, : total % 800] += 1
    weight[1::2] *= -1

    def build(r):
        x = r.input((5, 800), 0, 65535, 1.0)
        return linear(r, x, weight, SIGNED_BYTES, 1e-8)

    assert gemms(check(program(build)))[0].halves


def test_unsigned_words_in_another_order(level):
    """As talking heads have them: the heads become the last dimension."""

    def build(r):
        x = r.input((2, 3, 7, 7), 0, 65535, 1.0)
        turned = move(r, x, 'permute', (2, 7, 7, 3), dims=[0, 2, 3, 1])
        return linear(r, turned, weights(5, 3), SIGNED_BYTES, 1e-5)

    check(program(build))


@pytest.mark.parametrize('bounds', [SIGNED_BYTES, (-90, 165), WIDE, (-(2**30), 2**30)])
def test_sums_near_32_bits(level, bounds):
    """Of pairs of the largest words, and of those that are not used: -32768."""
    k = 64
    most = (2**31 - 1) // (32768 * k)
    weight = torch.full((5, k), most, dtype=torch.int16)
    weight[1::2] = -most

    def build(r):
        x = r.input((7, k), -32768, 32767, 1.0)
        return linear(r, x, weight, bounds, bounds[1] / 2**31)

    assert gemms(check(program(build)))[0].bits == 16


@pytest.mark.parametrize('k', [1, 3, 255, 256, 257, 1000])
@pytest.mark.parametrize('n', [1, 33, 70])
def test_sums_of_64_bits(level, n, k):
    """All 16 bits of both, the smallest number included."""
    weight = weights(n, k, 16)
    weight[0] = -32768
    weight[-1, ::2] = 32767

    def build(r):
        x = r.input((7, k), -32768, 32767, 1.0)
        return linear(r, x, weight, WIDE, 2.0**-16 / k)

    assert gemms(check(program(build)))[0].halves == (k > 1)


@pytest.mark.parametrize('bounds', [SIGNED_BYTES, (-90, 165), WIDE, (-(2**30), 2**30)])
def test_results_of_sums_of_64_bits(level, three_threads, bounds):
    """Storages of results, more rows than a chunk has, several threads."""
    weight = weights(100, 192, 14)

    def build(r):
        x = r.input((251, 192), *WIDE, 1.0)
        return linear(r, x, weight, bounds, bounds[1] / 2**38)

    assert gemms(check(program(build)))[0].halves


def test_what_follows_sums_of_64_bits(level):
    """A residual, a table and a ReLU are part of the product."""
    weight = weights(40, 64, 14)

    def product(r, x, bounds):
        return linear(r, x, weight, bounds, bounds[1] / 2**38)

    def residual(r):
        x = r.input((9, 64), *WIDE, 1.0)
        y = r.input((9, 40), *WIDE, 1.0)
        return add(r, [product(r, x, WIDE), y], (9, 40), WIDE)

    def gelu(r):
        made = product(r, r.input((9, 64), *WIDE, 1.0), WIDE)
        return function(r, 'interpolated_gelu', made, 1e-3, QParams(0.1, -9, 127))

    def words(r):
        made = product(r, r.input((9, 64), *WIDE, 1.0), WIDE)
        return function(r, 'long_table_gelu', made, 1e-3, QParams(1e-3, -400, 32767))

    def clamped(r):
        return relu(r, product(r, r.input((9, 64), *WIDE, 1.0), WIDE))

    for build, post in (
        (residual, ADD),
        (gelu, TABLE),
        (words, TABLE),
        (clamped, NOTHING),
    ):
        (command,) = gemms(check(program(build)))
        assert command.halves and command.post == post


def test_deep_products_in_steps(level):
    """Weights of so many depths do not stay in the cache: partial sums are kept."""
    weight = weights(70, 6001, 12) // 8

    def build(r):
        x = r.input((300, 6001), -1023, 1023, 1.0)
        return linear(r, x, weight, WIDE, 1e-4)

    check(program(build))


def test_rows_apart(level):
    def build(r):
        x = r.input((6, 5, 24), *THIRTEEN, 1.0)
        starts, sizes = [0, 2, 3], [6, 1, 20]
        part = move(
            r, x, 'slice', (6, 1, 20), starts=starts, sizes=sizes, steps=[1, 1, 1]
        )
        return linear(r, part, weights(16, 20, 12), SIGNED_BYTES, 1e-4)

    check(program(build))


@pytest.mark.parametrize('channels', [3, 17, 32])
@pytest.mark.parametrize('padding', [0, 2])
@pytest.mark.parametrize('stride, dilation, kernel', [(1, 1, 3), (4, 1, 4), (1, 1, 1)])
@pytest.mark.parametrize('given', [THIRTEEN, (-100, 155)])
def test_windows(level, channels, stride, dilation, kernel, padding, given):
    def build(r):
        x = r.input((2, channels, 9, 11), *given, 1.0)
        return conv(r, x, 10, kernel, WIDE, 1e-3, stride, padding, dilation, bits=12)

    assert gemms(check(program(build)))[0].bits == 16


@pytest.mark.parametrize('channels', [16, 17, 300])
def test_windows_with_sums_of_64_bits(level, channels):
    """Several taps, or a part of one, in a slice of 256 depths."""

    def build(r):
        x = r.input((2, channels, 5, 6), -32768, 32767, 1.0)
        return conv(r, x, 40, 3, WIDE, 2.0**-24, 1, 1, bits=16)

    assert gemms(check(program(build)))[0].halves


def test_groups(level):
    def build(r, groups):
        x = r.input((2, 6, 7, 6), *THIRTEEN, 1.0)
        return conv(r, x, 6, 3, WIDE, 1e-3, 2, 1, groups=groups, bits=12)

    check(program(lambda r: build(r, 2)))
    check(program(lambda r: build(r, 6)), fallbacks=1)  # depthwise


@pytest.mark.parametrize('m, k, n', [(1, 1, 1), (7, 5, 3), (13, 40, 70), (6, 63, 64)])
@pytest.mark.parametrize('left', [SIGNED_BYTES, (-30, 225), THIRTEEN])
@pytest.mark.parametrize('swap', [False, True])
def test_products_of_activations(level, m, k, n, left, swap):
    def build(r):
        a = r.input((2, m, k), *left, 1.0)
        b = r.input((2, n, k) if swap else (2, k, n), *THIRTEEN, 1.0)
        if swap:
            b = move(r, b, 'permute', (2, k, n), dims=[0, 2, 1])
        return matmul(r, a, b, (2, m, n), WIDE, 3.0 / left[1])

    check(program(build))


@pytest.mark.parametrize(
    'm, k, n', [(1, 3, 1), (7, 256, 70), (13, 257, 3), (6, 601, 9)]
)
@pytest.mark.parametrize('left', [(-32768, 32767), (0, 65535), (-30, 225)])
@pytest.mark.parametrize('swap', [False, True])
def test_products_of_activations_with_sums_of_64_bits(level, m, k, n, left, swap):
    def build(r):
        a = r.input((2, m, k), *left, 1.0)
        b = r.input((2, n, k) if swap else (2, k, n), -32768, 32767, 1.0)
        if swap:
            b = move(r, b, 'permute', (2, k, n), dims=[0, 2, 1])
        return matmul(r, a, b, (2, m, n), WIDE, 1.0 / left[1] / k)

    check(program(build))


def test_probabilities_of_many_tokens(level, three_threads):
    """Of 16 bits, times bytes: sums of more than 32 bits."""

    def build(r):
        a = r.input((3, 20, 700), 0, 65535, 1.0)
        b = r.input((3, 700, 24), *SIGNED_BYTES, 1.0)
        return matmul(r, a, b, (3, 20, 24), WIDE, 1e-5)

    check(program(build))


def test_factors_beyond_64_bits_are_left_to_the_reference(level):
    def build(r):
        a, b = r.input((1, 2, 9), *WIDE, 1.0), r.input((1, 9, 3), *WIDE, 1.0)
        return matmul(r, a, b, (1, 2, 3), WIDE, 1e-5)

    made = program(build)
    constants = made.nodes[0].constants
    constants['multiplier'] = 2**31 - 1
    constants['shift'] = 61
    check(made, fallbacks=1)


@pytest.mark.parametrize('most', [32767, 65535])
def test_attention(level, most):
    """Its words are too long for the kernel of attentions: three steps compute it."""

    def build(r):
        q, k, v = (r.input((2, 9, 16), *THIRTEEN, 1.0) for _ in range(3))
        k = move(r, k, 'permute', (2, 16, 9), dims=[0, 2, 1])
        scores = matmul(r, q, k, (2, 9, 9), WIDE, 2e-4)
        p = function(r, 'table_softmax', scores, 1e-3, QParams(1 / most, 0, most))
        return matmul(r, p, v, (2, 9, 16), THIRTEEN, 1 / most)

    check(program(build))


@pytest.mark.parametrize('n, taps, depth', [(5, 1, 3), (48, 2, 8), (100, 3, 6)])
def test_where_a_weight_lies(n, taps, depth):
    """Panel by panel: pairs of depths, of each the columns, of these two depths."""
    weight = weights(n, taps * depth, 12).view(n, taps, depth)
    made = pack(weight)
    words, vectors, pairs = made.data.view(torch.int16), -(-n // 16), -(-depth // 4) * 2
    assert made.bits == 16
    for c in range(n):
        panel = c // (made.width * 16)
        width = min(made.width, vectors - panel * made.width) * 16
        start = panel * made.width * 16 * taps * pairs * 2
        for t in range(taps):
            for d in range(depth):
                pair, column = t * pairs + d // 2, c - panel * made.width * 16
                at = start + (pair * width + column) * 2 + d % 2
                assert int(words[at]) == int(weight[c, t, d])
