"""Convolutions: windows of any kind, groups, and what surrounds them in detectors."""

import pytest
from native_cases import SIGNED_BYTES, WIDE, add, check, linear, move, program, weights

from iptq_mm.native.commands import Copy, Gather, Gemm


def gemms(native):
    return [c for c in native.commands if isinstance(c, Gemm)]


def conv(
    r,
    x,
    out,
    kernel=3,
    bounds=WIDE,
    ratio=0.05,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    bits=8,
):
    n, c, *size = r.values[x].shape
    weight = weights(out, c // groups * kernel**2, bits)
    span = dilation * (kernel - 1) + 1
    made = [(s + 2 * padding - span) // stride + 1 for s in size]
    attributes = dict(
        stride=[stride] * 2,
        padding=[padding] * 2,
        dilation=[dilation] * 2,
        groups=groups,
    )
    weight = weight.view(out, c // groups, kernel, kernel)
    shape = (n, out, *made)
    return linear(r, x, weight, bounds, ratio, 'conv2d', shape, attributes)


@pytest.mark.parametrize('channels', [3, 17, 32])
@pytest.mark.parametrize('padding', [0, 1, 2])
@pytest.mark.parametrize('stride, dilation, kernel', [(1, 1, 3), (4, 1, 4), (2, 2, 2)])
def test_windows(level, channels, stride, dilation, kernel, padding):
    def build(r):
        x = r.input((2, channels, 9, 11), -100, 155, 1.0)
        return conv(r, x, 10, kernel, WIDE, 0.2, stride, padding, dilation)

    check(program(build))


@pytest.mark.parametrize('bits', [8, 4])
def test_many_channels_in_steps(level, bits):
    def build(r):
        x = r.input((1, 700, 5, 4), -128, 127, 1.0)
        return conv(r, x, 66, ratio=0.001, padding=1, bits=bits)

    check(program(build))


@pytest.mark.parametrize(
    'channels, out, groups', [(4, 6, 2), (40, 40, 40), (70, 70, 70)]
)
@pytest.mark.parametrize('bounds', [WIDE, (-100, 155)])
def test_groups(level, channels, out, groups, bounds):
    def build(r):
        x = r.input((2, channels, 7, 6), -100, 155, 1.0)
        return conv(r, x, out, 3, bounds, 0.2, 2, 1, groups=groups)

    check(program(build))


def relu(r, x, bounds=None):
    value = r.values[x]
    return r.node('relu', [x], value.shape, bounds or (0, value.high))


def requantize(r, x, bounds, ratio=0.007):
    constants = {'multiplier': round(ratio * 2**36), 'shift': 36}
    return r.node('requantize', [x], r.values[x].shape, bounds, constants)


@pytest.mark.parametrize('bounds', [None, (-3, 90)])
def test_relu_alone(level, bounds):
    check(program(lambda r: relu(r, r.input((3, 50), -128, 127, 1.0), bounds)))


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
    assert len(made) == (1 if narrow == WIDE else 2) and made[0].post == 3
    # The input and the output are brought into another order.
    assert len(native.commands) == len(made) + 2


def test_relu_after_a_sum(level):
    def build(r):
        x, other = r.input((9, 40), -128, 127, 1.0), r.input((9, 50), *WIDE, 1.0)
        made = linear(r, x, weights(50, 40), WIDE, 0.4)
        return relu(r, add(r, [made, other], (9, 50), WIDE))

    assert gemms(check(program(build)))[0].post == 2


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
    assert sum(g.post == 2 for g in gemms(native)) == 1
    assert not any(isinstance(c, Gather) for c in native.commands)
    # Two inputs, three outputs; the upsampled map is read where it is.
    assert sum(isinstance(c, Copy) for c in native.commands) == 5


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
