"""Patches side by side as a product of matrices; other convolutions as they are."""

import numpy as np
import onnx
import pytest
import torch
from onnx_cases import agrees, check, wide_numbers
from program_cases import swin_program, vit_program

from iptq_mm.program.backends.onnx import to_onnx
from iptq_mm.program.backends.onnx.arithmetic import scaled, unbiased
from iptq_mm.program.backends.onnx.builder import Builder
from iptq_mm.program.backends.onnx.convolutions import convolution


def numbers(low, high, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    kind = torch.int8 if low >= -128 and high < 128 else torch.int16
    return torch.randint(low, high + 1, shape, generator=generator).to(kind)


def operators(build, *inputs):
    """Kinds of operators that a graph of these inputs has."""
    from iptq_mm.program.backends.onnx.builder import Ref, dtype_name

    b = Builder()
    refs = [Ref(f'x{i}', dtype_name(x.dtype), -128, 127) for i, x in enumerate(inputs)]
    build(b, *refs)
    return [node.op_type for node in b.nodes]


def convolved(x, weight, **attributes):
    """What builds a convolution that is not requantized, and what it must give."""
    expected = torch.nn.functional.conv2d(x.long(), weight.long(), **attributes)
    shapes = tuple(x.shape), tuple(weight.shape)
    bound = int(expected.abs().max())

    def build(b, q, w=weight):
        return convolution(b, q, w, shapes, attributes, bound, lambda y, _: y)

    return build, expected


PATCHES = [
    ((2, 3, 8, 12), (5, 3, 4, 4), (4, 4)),
    ((1, 3, 6, 6), (7, 3, 2, 3), (2, 3)),
    ((2, 3, 9, 14), (5, 3, 4, 4), (4, 4)),  # a rest that makes no patch
    ((1, 4, 5, 5), (6, 4, 5, 5), (5, 5)),  # one patch
]


@pytest.mark.parametrize('bounds', [(-128, 127), (-37, 218), (-32768, 32767)])
@pytest.mark.parametrize(('image', 'weight', 'stride'), PATCHES)
def test_patches(image, weight, stride, bounds):
    x, w = numbers(*bounds, *image), numbers(-127, 127, *weight, seed=1)
    build, expected = convolved(x, w, stride=stride)
    agrees(build, expected, x, bounds=[bounds])
    assert 'ConvInteger' not in operators(build, x)


def test_a_stride_of_one_number():
    x, w = numbers(-128, 127, 1, 3, 8, 8), numbers(-127, 127, 4, 3, 4, 4, seed=1)
    build, expected = convolved(x, w, stride=4)
    agrees(build, expected, x)
    assert 'MatMulInteger' in operators(build, x)


def test_a_weight_that_is_computed():
    x, w = numbers(-128, 127, 2, 3, 8, 8), numbers(-127, 127, 4, 3, 4, 4, seed=1)
    build, expected = convolved(x, w, stride=(4, 4))
    agrees(build, expected, x, w)


@pytest.mark.parametrize(
    ('weight', 'attributes'),
    [
        ((4, 3, 4, 4), dict(stride=(2, 2))),
        ((4, 3, 4, 4), dict(stride=(4, 4), padding=(1, 1))),
        ((4, 3, 2, 2), dict(stride=(2, 2), dilation=(2, 2))),
        ((6, 1, 2, 2), dict(stride=(2, 2), groups=3)),
        ((4, 3, 1, 1), dict(stride=(1, 1))),
    ],
)
def test_others_stay(weight, attributes):
    x, w = numbers(-128, 127, 2, 3, 8, 8), numbers(-127, 127, *weight, seed=1)
    build, expected = convolved(x, w, **attributes)
    agrees(build, expected, x)
    assert 'ConvInteger' in operators(build, x)


@pytest.mark.parametrize('stride', [(4, 4), (2, 2)])
def test_channels_of_the_requantization(stride):
    """Each channel has numbers of its own, wherever they are."""
    x, w = numbers(-128, 127, 2, 3, 8, 8), numbers(-127, 127, 5, 3, 4, 4, seed=1)
    expected = torch.nn.functional.conv2d(x.long(), w.long(), stride=stride)
    multiplier = torch.tensor([3, -5, 7, 11, 13])
    expected = expected * multiplier.view(-1, 1, 1) + 9 >> 6

    def build(b, q):
        def requantize(y, channels):
            each = multiplier.view(-1, *(1,) * (channels - 1))
            return scaled(b, y, each, torch.tensor(9), torch.tensor(6))

        shapes = tuple(x.shape), tuple(w.shape)
        return convolution(b, q, w, shapes, dict(stride=stride), 10**6, requantize)

    agrees(build, expected, x)


@pytest.mark.parametrize('dtype', [torch.int32, torch.int64])
def test_the_highest_bit_is_not_subtracted(dtype):
    """The numbers are those of a subtraction, also below 0."""
    unsigned = 'uint32' if dtype == torch.int32 else 'uint64'
    bits = 31 if dtype == torch.int32 else 63
    name = str(dtype).removeprefix('torch.')
    x = wide_numbers(400, 1, bits).to(dtype)

    def build(b, q):
        wide = b.wrap(q, unsigned)
        info = torch.iinfo(dtype)
        return unbiased(b, wide, 1 << bits, info.min, info.max)

    smallest = torch.tensor(-(1 << bits), dtype=dtype)
    agrees(build, x ^ smallest, x)
    made = operators(build, x)
    assert 'BitwiseXor' in made and 'Sub' not in made, name


@pytest.mark.parametrize('program', [vit_program, swin_program])
@pytest.mark.slow
def test_whole_models(program):
    model = check(program(), seeds=(0,))
    kinds = {node.op_type for node in model.graph.node}
    assert 'ConvInteger' not in kinds


def test_no_smallest_number_is_subtracted():
    model = to_onnx(vit_program())
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    signed = {n: x for n, x in arrays.items() if x.size and x.dtype.kind == 'i'}
    smallest = {n for n, x in signed.items() if x.min() == np.iinfo(x.dtype).min}
    users = {
        node.op_type for node in model.graph.node if smallest.intersection(node.input)
    }
    assert 'BitwiseXor' in users and not users & {'Add', 'Sub', 'Mul'}
