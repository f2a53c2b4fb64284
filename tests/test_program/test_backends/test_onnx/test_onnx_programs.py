"""ONNX models of programs: integer types throughout, and the same integers."""

import pytest
import torch
from onnx_cases import check
from program_cases import (
    LONE,
    function_program,
    functions,
    images,
    lone,
    swin_program,
    vit_program,
)
from region_models import deit, mmpretrain_swin, quantized

from iptq_mm.functions.base import GELUFunction
from iptq_mm.operations import OPERATIONS
from iptq_mm.program import ProgramError, trace
from iptq_mm.program.backends.onnx import to_onnx
from iptq_mm.program.ir.graph import ELEMENTWISE
from iptq_mm.program.ir.moves import MOVES
from iptq_mm.registry import FUNCTIONS

MOVED = {
    'reshape': ({'shape': [4, 15]}, (4, 15)),
    'permute': ({'dims': [2, 0, 1]}, (5, 3, 4)),
    'slice': ({'starts': [1, 0, 1], 'sizes': [2, 4, 2], 'steps': [1, 1, 2]}, (2, 4, 2)),
    'slice of all': (
        {'starts': [0] * 3, 'sizes': [3, 4, 5], 'steps': [1] * 3},
        (3, 4, 5),
    ),
    'strided': ({'shape': [2, 2, 3], 'strides': [7, 1, 9], 'offset': 3}, (2, 2, 3)),
    'roll': ({'shifts': [-1, 7, 0], 'dims': [0, 1, 2]}, (3, 4, 5)),
    'pad': ({'before': [0, 1, 0], 'after': [2, 0, 3]}, (5, 5, 8)),
}


@pytest.mark.parametrize(('name', 'options'), functions())
def test_functions(name, options):
    check(function_program(name, options))


@pytest.mark.parametrize('name', LONE)
def test_lone_nodes(name):
    check(LONE[name]())


@pytest.mark.parametrize('bits', [8, 16, 32])
@pytest.mark.parametrize('name', MOVED)
def test_moves(name, bits):
    attributes, shape = MOVED[name]
    bounds = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    kind = name.split()[0]
    check(lone(kind, [((3, 4, 5), *bounds)], bounds, None, attributes, shape))


def test_zeros_of_what_has_none():
    attributes = {'before': [1], 'after': [0]}
    check(lone('pad', [((3,), 5, 9)], (0, 9), None, attributes, (4,)))


@pytest.mark.parametrize(
    ('left', 'right'), [((0, 65535), (-128, 127)), ((-128, 127), (-300, 300))]
)
def test_wide_matmul(left, right):
    bound = 6 * max(map(abs, left)) * max(map(abs, right))
    check(
        lone(
            'matmul',
            [((2, 5, 6), *left), ((2, 6, 7), *right)],
            (-(2**15), 2**15 - 1),
            {'bound': bound, 'multiplier': 2**20 + 1, 'shift': 36},
            shape=(2, 5, 7),
        )
    )


@pytest.mark.parametrize('padding', ['same', 'valid', [1, 2], 1])
def test_padding_of_convolutions(padding):
    weight = torch.arange(-24, 24, dtype=torch.int8).view(4, 3, 2, 2)
    x = torch.zeros(1, 3, 6, 5)
    shape = torch.nn.functional.conv2d(x, weight.float(), padding=padding).shape
    constants = {
        'bound': 12 * 24 * 200,
        'middle': 0,
        'multiplier': torch.tensor([3, -5, 2**30, 7]),
        'shift': torch.tensor([2, 4, 35, 1]),
        'offset': torch.tensor([2, -(2**40), 2**34, 1]),
    }
    program = lone(
        'conv2d',
        [((1, 3, 6, 5), -55, 200)],
        (-(2**15), 2**15 - 1),
        constants,
        dict(stride=1, padding=padding, dilation=1, groups=1),
        tuple(shape),
    )
    program.tensors['weight'] = weight
    program.nodes[0].operands.append('weight')
    check(program)


def test_vision_transformer():
    model = check(vit_program())
    names = [node.name for node in model.graph.node]
    assert any(name.startswith('layers.0.attn/softmax:0/') for name in names)


@pytest.mark.slow
def test_mmdet_swin_with_padding_and_shifted_windows():
    program = swin_program()
    assert program.count()['pad'] and program.count()['roll']
    assert len(program.outputs) == 2
    check(program, seeds=(0,))


@pytest.mark.slow
def test_distilled_transformer():
    net = quantized(deit(), [images(1, 3, 32, 32, seed=s) for s in range(2)])
    check(trace(net.backbone, (images(3, 3, 32, 32),)).program, seeds=(0,))


@pytest.mark.slow
def test_mmpretrain_swin():
    net = quantized(mmpretrain_swin(), [images(1, 3, 32, 32, seed=s) for s in range(2)])
    check(trace(net.backbone, (images(1, 3, 32, 32),)).program, seeds=(0,))


def test_every_kind_is_tested():
    programs = [vit_program(), swin_program(), *(make() for make in LONE.values())]
    programs += [function_program(*form) for form in functions()]
    kinds = {node.kind for program in programs for node in program.nodes}
    kinds |= {name.split()[0] for name in MOVED}
    assert kinds >= set(OPERATIONS) | set(ELEMENTWISE) | set(MOVES)


def test_an_operation_without_a_counterpart():
    class Cumulative(GELUFunction):
        def prepare(self, site):
            return {}

        def integer(self, q, constants):
            return q.long().cumsum(-1)

        def operations(self, row):
            raise NotImplementedError

    FUNCTIONS.register_module('cumulative', module=Cumulative)
    try:
        program = lone(
            'gelu', [((3, 4), -9, 9)], (-9, 9), function=dict(type='cumulative')
        )
        with pytest.raises(ProgramError, match='no ONNX operators .* aten.cumsum'):
            to_onnx(program)
    finally:
        del FUNCTIONS.module_dict['cumulative']


def test_the_same_model_for_the_same_program():
    program = function_program('table_softmax', {})
    assert to_onnx(program).SerializeToString() == to_onnx(program).SerializeToString()
