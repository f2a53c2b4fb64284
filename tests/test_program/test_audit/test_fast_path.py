"""What products in other units rely on."""

import copy

import pytest
import torch
from program_cases import lone, vit_program

from iptq_mm.program import Program
from iptq_mm.program.audit.fast_path import check_fast_path
from iptq_mm.program.audit.interval import Interval, Unproven


def linear(constants: dict, low: int = 0, high: int = 255, weight: int = 1) -> Program:
    """A linear layer of 6 inputs and 2 outputs."""
    program = lone(
        'linear', [((3, 6), low, high)], (-127, 127), constants, shape=(3, 2)
    )
    program.tensors['weight'] = torch.full((2, 6), weight, dtype=torch.int8)
    program.nodes[0].operands.append('weight')
    return program


def check(program: Program, *sums: Interval) -> None:
    check_fast_path(program, program.nodes[0], sums)


def test_what_holds():
    check(linear({'bound': 1530, 'middle': 128}), Interval(0, 1530))
    check(linear({'bound': 9999, 'middle': 0}), Interval(-9999, 0))


def test_bound():
    with pytest.raises(Unproven, match='may reach 1531, its constant bound says 1530'):
        check(linear({'bound': 1530, 'middle': 128}), Interval(-1531, 7))


def test_no_bound():
    with pytest.raises(Unproven, match='may reach 7, and no constant bounds it'):
        check(linear({'middle': 128}), Interval(0, 7))


def test_middle():
    with pytest.raises(Unproven, match=r'the input less middle, -127\.\.128'):
        check(linear({'bound': 1530, 'middle': 127}), Interval(0, 1530))


def test_sums_of_bytes():
    """Wide inputs are no bytes: nothing adds them up as such."""
    weight = torch.full((1, 66400), 127, dtype=torch.int8)  # 255 * 127 * 66400 > 2**31
    for low, raises in ((-128, True), (-129, False)):
        program = linear({'bound': 2**31 - 1, 'middle': 0}, low, 0)
        program.tensors['weight'] = weight
        if raises:
            with pytest.raises(Unproven, match='which 32 bits do not hold'):
                check(program, Interval(-7, 0))
        else:
            check(program, Interval(-7, 0))


def test_every_product_of_a_model():
    program = copy.deepcopy(vit_program())
    products = [n for n in program.nodes if n.kind in ('linear', 'conv2d', 'matmul')]
    assert len(products) > 8
    for node in products:
        bound = node.constants['bound']
        check_fast_path(program, node, [Interval(-bound, bound)])
        with pytest.raises(Unproven, match='its constant bound says'):
            check_fast_path(program, node, [Interval(0, bound + 1)])
