"""Elementwise operations."""

import pytest
import torch
from native_cases import WIDE, add, check, function, program, relu
from program_cases import LONE, lone

from iptq_mm.intmath import QParams


@pytest.mark.parametrize('kind', LONE)
def test_lone_nodes(level, kind):
    check(LONE[kind](), fallbacks=int(kind == 'add'))  # its factor is too long


@pytest.mark.parametrize('other', [(3, 4, 50), (50,), (4, 1), (1, 1, 1), (3, 1, 50)])
@pytest.mark.parametrize('bounds', [WIDE, (-30, 225)])
def test_sums_broadcast(level, other, bounds):
    def build(r):
        x, y = r.input((3, 4, 50), -128, 127, 1.0), r.input(other, *WIDE, 1.0)
        return add(r, [x, y], (3, 4, 50), bounds)

    check(program(build))


def test_sums_with_constants(level):
    table = torch.arange(-300, 300, 3, dtype=torch.int16).view(4, 50)
    check(
        program(
            lambda r: add(
                r,
                [r.tensor(table, 'table'), r.input((3, 4, 50), -7, 248, 1.0)],
                (3, 4, 50),
                WIDE,
            )
        )
    )


def test_add_constant_of_a_tensor(level):
    addend = torch.tensor([[-100000], [0], [77]])

    def build(r):
        return r.add_constant(r.input((2, 3, 9), *WIDE, 1.0), addend, (2, 3, 9))

    check(program(build))


@pytest.mark.parametrize('dim', [0, 1, -1])
def test_concatenations(level, dim):
    shapes = [[3, 4, 5] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[dim] += i
    total = list(shapes[0])
    total[dim] = sum(s[dim] for s in shapes)
    ranges = [(-128, 127), WIDE, (-9, 246)]
    constants = {}
    for i in range(3):
        constants |= {f'multiplier{i}': 3**18 + i, f'shift{i}': 30 + i}
    check(
        lone(
            'cat',
            [(tuple(s), *b) for s, b in zip(shapes, ranges, strict=True)],
            (-100, 155),
            constants,
            {'dim': dim},
            tuple(total),
        )
    )


@pytest.mark.parametrize('name', ['table_gelu', 'i_gelu', 'interpolated_gelu'])
def test_gelu_alone(level, name):
    def build(r):
        x = r.input((7, 33), -100, 155, 1.0)
        return function(r, name, x, 0.05, QParams(0.02, *WIDE))

    check(program(build))


def test_products_of_elements(level):
    check(
        lone(
            'mul',
            [((3, 40), *WIDE), ((40,), *WIDE)],
            WIDE,
            {'multiplier': 2**30 + 1, 'shift': 45},
        )
    )


@pytest.mark.parametrize('bounds', [None, (-3, 90)])
def test_relu_alone(level, bounds):
    check(program(lambda r: relu(r, r.input((3, 50), -128, 127, 1.0), bounds)))
