"""Tables of all values say what the function says."""

import pytest
import torch
from program_cases import equal, lone

from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams
from iptq_mm.program import Program, run
from iptq_mm.program.backends.compiled.graph import whole_graph
from iptq_mm.program.lowering.lookup_tables import LOOK_UP, with_lookup_tables
from iptq_mm.registry import FUNCTIONS

CPU = torch.device('cpu')


def gelu(bits: int = 16, out_bits: int = 8, low: int | None = None) -> Program:
    function = FUNCTIONS.build(dict(type='interpolated_gelu'))
    x, out = QParams.symmetric(6.0, bits), QParams.symmetric(5.0, out_bits)
    qmin = out.qmin if low is None else low
    return lone(
        'gelu',
        [((4, 2**bits // 4), x.qmin, x.qmax)],
        (qmin, qmin + out.qmax - out.qmin),
        function.prepare(FunctionSite(x, out)),
        function=dict(type='interpolated_gelu'),
        site='alone',
    )


@pytest.mark.parametrize('low', [None, -9, -250])
def test_every_value_is_looked_up(low):
    program = gelu(low=low)
    made = with_lookup_tables(program)
    assert [node.kind for node in made.nodes] == [LOOK_UP]
    assert [node.kind for node in program.nodes] == ['gelu']
    value = program.values[program.inputs[0].value]
    x = [torch.arange(2**16).clamp(max=2**16 - 2).add(value.low).to(value.dtype)]
    x = [x[0].view(value.shape)]
    assert equal(whole_graph(program, CPU)(*x), run(program, x))


def test_what_is_beyond_the_bounds_is_clamped():
    """A table would be read beyond its end."""
    program = gelu(bits=8)
    value = program.values[program.inputs[0].value]
    beyond = torch.full(value.shape, -128, dtype=value.dtype)
    (made,) = whole_graph(program, CPU)(beyond)
    assert equal([made], run(program, [beyond.clamp(min=value.low)]))


def test_not_of_results_that_bytes_do_not_hold():
    program = gelu(out_bits=9)
    assert [node.kind for node in with_lookup_tables(program).nodes] == ['gelu']


def test_not_of_results_that_depend_on_the_row():
    """I-ViT's published GELU subtracts the largest number of the row."""
    function = dict(type='shift_gelu', literal=True)
    x, out = QParams.symmetric(6.0, 8), QParams.symmetric(5.0, 8)
    constants = FUNCTIONS.build(dict(function)).prepare(FunctionSite(x, out))
    bounds = (out.qmin, out.qmax)
    shape = ((4, 64), x.qmin, x.qmax)
    program = lone('gelu', [shape], bounds, constants, function=function, site='alone')
    assert [node.kind for node in with_lookup_tables(program).nodes] == ['gelu']
    value = program.values[program.inputs[0].value]
    random = torch.Generator().manual_seed(0)
    given = torch.randint(-40, 41, value.shape, generator=random).to(value.dtype)
    assert equal(whole_graph(program, CPU)(given), run(program, [given]))


def test_softmax_has_two_look_ups():
    function = FUNCTIONS.build(dict(type='table_softmax'))
    x, out = QParams(3e-4, -32767, 32767), QParams(1 / 65535, 0, 65535)
    program = lone(
        'softmax',
        [((8, 197), x.qmin, x.qmax)],
        (out.qmin, out.qmax),
        function.prepare(FunctionSite(x, out)),
        function=dict(type='table_softmax'),
        site='alone',
    )
    (node,) = with_lookup_tables(program).nodes
    assert len(node.tensors) == 2 and len(program.nodes[0].tensors) == 4
    value = program.values[program.inputs[0].value]
    scores = [torch.randint(x.qmin, x.qmax + 1, value.shape).to(value.dtype)]
    assert equal(whole_graph(program, CPU)(*scores), run(program, scores))
