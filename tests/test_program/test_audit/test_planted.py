"""Programs that something is wrong with: what was planted is named."""

import copy

import pytest
import torch
from mmengine.utils import digit_version
from program_cases import LONE, integers, lone, vit_program

from iptq_mm.functions.base import GELUFunction, OperationCount
from iptq_mm.program import Program, run
from iptq_mm.program.audit import audit_program
from iptq_mm.program.ir.graph import Value
from iptq_mm.registry import FUNCTIONS


class Float(GELUFunction):
    """A function that goes through floats, where nobody sees it."""

    def prepare(self, site):
        return {'half': 1}

    def integer(self, q, constants):
        return (q * 0.5).round().long() * constants['half']

    def operations(self, row):
        return OperationCount(mul=1)


class Peeking(Float):
    """One that asks for the numbers of its input."""

    def integer(self, q, constants):
        return q.long() * int(q.max())


@pytest.fixture
def planted(monkeypatch):
    """A program of a function that only this test knows."""

    def make(function: type) -> Program:
        name = function.__name__.lower()
        FUNCTIONS.import_from_location()
        monkeypatch.setitem(FUNCTIONS.module_dict, name, function)
        return lone(
            'gelu',
            [((4, 6), -127, 127)],
            (-127, 127),
            {'half': 1},
            function=dict(type=name),
            site='layers.0/gelu:0',
        )

    return make


def test_a_function_that_goes_through_floats(planted):
    program = planted(Float)
    (x,) = integers(program)
    assert run(program, [x])[0].dtype == torch.int8  # nobody would notice
    (finding,) = audit_program(program).findings
    assert finding.site == 'layers.0/gelu:0'
    assert finding.operation == 'aten.mul.Tensor'
    assert 'makes a tensor of floats (torch.float32)' in finding.problem


def test_a_function_that_has_no_graph(planted):
    (finding,) = audit_program(planted(Peeking)).findings
    assert (finding.site, finding.operation) == ('layers.0/gelu:0', 'gelu')
    assert 'cannot be taken apart' in finding.problem


def of_kind(program: Program, kind: str, **also) -> tuple[Program, int]:
    """A copy of a program, and the place of a node of a kind in it."""
    program = copy.deepcopy(program)
    nodes = enumerate(program.nodes)
    return program, next(i for i, n in nodes if n.kind == kind)


#: What is found of a shift by 64, which torch 2.1 cannot even trace.
SHIFTED = ('aten.add.Tensor', 'torch.int64 does not hold')
if digit_version(torch.__version__) < digit_version('2.4'):
    SHIFTED = ('matmul', 'Overflow when unpacking long')


@pytest.mark.parametrize(
    ('kind', 'constant', 'number', 'operation', 'problem'),
    [
        ('add', 'left', 2**50, 'aten.mul.Tensor', 'torch.int64 does not hold'),
        ('matmul', 'multiplier', 2**50, 'aten.mul.Tensor', 'torch.int64 does not'),
        ('matmul', 'shift', 64, *SHIFTED),
        ('matmul', 'bound', 100, 'matmul', 'its constant bound says 100'),
        ('linear', 'bound', 2**31, None, None),
        ('softmax', 'quotient_one', 2**63 - 1, 'aten.add.Tensor', 'does not hold'),
        ('softmax', 'down', -8, 'aten.index_select', 'into 64 entries'),
        ('layer_norm', 'epsilon', 0, 'aten.floor_divide', 'the divisor may be 0'),
        ('layer_norm', 'root_shift', 31, 'aten.bitwise_left_shift', 'does not hold'),
        ('gelu', 'first', -100, 'aten.index_select', 'an index in'),
    ],
)
def test_a_planted_constant(kind, constant, number, operation, problem):
    program, place = of_kind(vit_program(), kind)
    node = program.nodes[place]
    node.constants[constant] = number
    findings = audit_program(program).findings
    if problem is None:  # larger than needed, and no harm done
        assert not findings
        return
    (finding,) = findings
    assert finding.site == node.site and finding.region == program.region
    assert finding.operation.startswith(operation)
    assert problem in finding.problem


def test_a_planted_table():
    program, place = of_kind(vit_program(), 'linear')
    node = program.nodes[place]
    name = node.constants['multiplier']
    program.tensors[name] = program.tensors[name].clone()
    program.tensors[name][3] = 2**58
    (finding,) = audit_program(program).findings
    assert (finding.site, finding.operation) == (node.site, 'aten.mul.Tensor')


def test_a_weight_that_its_accumulator_does_not_hold():
    program, place = of_kind(vit_program(), 'linear')
    node = program.nodes[place]
    (name,) = (x for x in node.operands if isinstance(x, str))
    program.tensors[name] = torch.full_like(program.tensors[name], 127)
    (finding,) = audit_program(program).findings
    assert finding.site == node.site
    assert 'a partial sum may reach' in finding.problem


def test_an_input_that_its_middle_does_not_bring_into_int8():
    program, place = of_kind(vit_program(), 'linear')
    node = program.nodes[place]
    node.constants['middle'] = -127
    findings = audit_program(program).findings
    assert any(
        'int8 does not hold the input less middle' in f.problem for f in findings
    )
    assert {f.site for f in findings} == {node.site}


def test_bounds_that_a_move_leaves():
    program, _ = of_kind(LONE['expand'](), 'expand')
    program.values[program.nodes[0].output] = Value(torch.int8, (2, 3, 5), -3, 3)
    (finding,) = audit_program(program).findings
    assert finding.operation == 'expand'
    assert 'makes -9..9, its value lies in -3..3' in finding.problem


@pytest.mark.parametrize(('offset', 'holds'), [(4, True), (5, False), (-1, False)])
def test_a_view_of_more_than_there_is(offset, holds):
    view = {'shape': [2, 3], 'strides': [5, 1], 'offset': offset}
    program = lone('strided', [((3, 4), -9, 9)], (-9, 9), None, view, (2, 3))
    assert audit_program(program).holds == holds


def test_a_shape_that_a_node_does_not_make():
    program, place = of_kind(LONE['mul'](), 'mul')
    output = program.nodes[place].output
    value = program.values[output]
    program.values[output] = Value(value.dtype, (4, 3), value.low, value.high)
    (finding,) = audit_program(program).findings
    assert 'of shape (3, 4), its value is torch.int8 of shape (4, 3)' in finding.problem


def test_floats_in_the_program_itself():
    program, place = of_kind(vit_program(), 'matmul')
    program.nodes[place].attributes['alpha'] = 0.5
    (finding,) = audit_program(program).findings
    assert 'a float among its constants' in finding.problem
    program, _ = of_kind(vit_program(), 'linear')
    name = next(iter(program.tensors))
    program.tensors[name] = program.tensors[name].double()
    (finding,) = audit_program(program).findings
    assert finding.site == 'the whole program' and name in finding.problem


def test_a_kind_that_nobody_knows():
    program, place = of_kind(LONE['negate'](), 'negate')
    program.nodes[place].kind = 'invert'
    (finding,) = audit_program(program).findings
    assert finding.site == '%1 (invert)' and 'cannot be taken apart' in finding.problem
    assert str(finding).startswith(f'{program.region}: %1 (invert): invert:')


def test_other_nodes_are_audited_all_the_same():
    program, place = of_kind(vit_program(), 'add')
    bad = program.nodes[place]
    bad.constants['left'] = 2**60
    audit = audit_program(program)
    assert len(audit.findings) == 1
    assert bad.site not in {s.site for s in audit.sites}
    whole = audit_program(vit_program())
    assert len(audit.sites) == len(whole.sites) - 1
