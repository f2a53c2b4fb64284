"""Convolutions: windows of any kind, and groups."""

import pytest
from native_cases import WIDE, check, conv, program


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
