"""Lowered nodes: integers throughout, and the same ones."""

from collections import Counter

import pytest
import torch
from program_cases import (
    LONE,
    equal,
    function_program,
    functions,
    integers,
    lone,
    swin_program,
    vit_program,
)

from iptq_mm.intmath.product import carrier, reference_products
from iptq_mm.operations import OPERATIONS
from iptq_mm.program import Program
from iptq_mm.program.ir.graph import ELEMENTWISE
from iptq_mm.program.ir.moves import MOVES
from iptq_mm.program.ir.semantics import node_function
from iptq_mm.program.lowering.lower import float_types, lower
from iptq_mm.registry import FUNCTIONS

PROGRAMS = {
    'vit': vit_program,
    'swin': swin_program,
    **LONE,
    **{
        f'{name} {options or ""}': lambda n=name, o=options: function_program(n, o)
        for name, options in functions()
    },
}


def check(program: Program) -> None:
    """The graphs of nodes give the integers of the nodes, and have no floats.

    Of each kind two nodes are lowered: it takes some time.
    """
    known = dict(program.tensors)
    ports = zip(program.inputs, integers(program), strict=True)
    known.update((port.value, x) for port, x in ports)
    left = Counter(dict.fromkeys(program.count(), 2))
    for node in program.nodes:
        value = program.values[node.output]
        constants = {
            k: known[v] if isinstance(v, str) else v for k, v in node.constants.items()
        }
        operands = [known[x] for x in node.operands]
        made = known[node.output] = node_function(node, value)(operands, constants)
        if left[node.kind] == 0:
            continue
        left[node.kind] -= 1
        lowered = lower(program, node)
        assert float_types(lowered.graph) == [], node
        again = lowered.graph(*[known[feed].contiguous() for feed in lowered.feeds])
        assert equal([again], [made])
        assert (again.dtype, tuple(again.shape)) == (value.dtype, value.shape)
        assert value.low <= int(again.min()) and int(again.max()) <= value.high


@pytest.mark.parametrize('name', PROGRAMS)
def test_lowered_nodes_are_the_nodes(name):
    check(PROGRAMS[name]())


def test_every_kind_is_lowered():
    kinds = {node.kind for make in PROGRAMS.values() for node in make().nodes}
    assert kinds >= set(OPERATIONS) | set(ELEMENTWISE) | set(MOVES)


def test_graphs_are_shared_by_nodes_that_differ_in_tensors():
    program = vit_program()
    some = [lower(program, node) for node in program.nodes if node.kind == 'reshape']
    assert len({id(x.graph) for x in some}) < len(some)


def test_no_mutation_and_no_operators_in_place():
    for name in ('shiftmax', 'table_softmax', 'poly_gelu'):
        program = function_program(name, {})
        graph = lower(program, program.nodes[0]).graph.graph
        calls = [n.target for n in graph.nodes if n.op == 'call_function']
        assert calls and not any(c._schema.is_mutable for c in calls)
        assert not any('__' in str(c) for c in calls)


def test_how_products_are_computed_is_left_as_it_was():
    program = lone('negate', [((2, 3), -5, 5)], (-5, 5))
    lower(program, program.nodes[0])
    assert carrier(1) == torch.float32
    with reference_products():
        lower(program, program.nodes[0], reference=False)
        assert carrier(1) == torch.int64


def test_other_code_of_a_function_is_lowered_anew(monkeypatch):
    program = function_program('shiftmax', {})
    before = lower(program, program.nodes[0]).graph
    assert lower(program, program.nodes[0]).graph is before
    function = FUNCTIONS.get('shiftmax')
    monkeypatch.setattr(function, 'integer', lambda self, q, constants: q + 1)
    after = lower(program, program.nodes[0]).graph
    assert 'add' in str(after.graph) and after is not before


def test_floats_would_be_found():
    graph = torch.fx.experimental.proxy_tensor.make_fx(lambda x: (x / 2).long())(
        torch.arange(4)
    )
    assert float_types(graph)
