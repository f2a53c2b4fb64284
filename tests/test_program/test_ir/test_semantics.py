"""What nodes compute, kind by kind."""

import pytest
import torch
from program_cases import LONE, equal, integers, lone, swin_program

from iptq_mm.modes import blocks
from iptq_mm.program import Node, ProgramError, run
from iptq_mm.program.ir.semantics import node_function


def test_lone_nodes():
    (x,) = integers(LONE['shift_channels']())
    assert (
        run(LONE['shift_channels'](), [x])[0].tolist()
        == (x.long() * 2 ** torch.tensor([0, 3, 1, 2])).tolist()
    )
    (x,) = integers(LONE['negate']())
    assert torch.equal(run(LONE['negate'](), [x])[0].long(), -x.long())
    (x,) = integers(LONE['add_constant of an int']())
    expected = (x.long() + 12).clamp(-90, 110)
    assert torch.equal(run(LONE['add_constant of an int'](), [x])[0].long(), expected)
    (x,) = integers(LONE['gather']())
    expected = torch.tensor([[x[0, 3], 0], [x[2, 3], x[0, 0]]])
    assert torch.equal(run(LONE['gather'](), [x])[0].long(), expected.long())


def test_blocks_change_nothing(monkeypatch):
    monkeypatch.setattr(blocks, 'BLOCK', 64)
    program, known = swin_program(), dict(swin_program().tensors)
    ports = zip(program.inputs, integers(program), strict=True)
    known.update((port.value, x) for port, x in ports)
    for node in program.nodes:
        constants = {
            k: known[v] if isinstance(v, str) else v for k, v in node.constants.items()
        }
        operands, value = [known[x] for x in node.operands], program.values[node.output]
        whole = node_function(node, value, blocks=False)(operands, constants)
        assert equal([node_function(node, value)(operands, constants)], [whole])
        known[node.output] = whole


def test_unknown_kinds():
    program = lone('negate', [((2,), -1, 1)], (-1, 1))
    program.nodes = [Node('sine', [0], 1)]
    with pytest.raises(
        ProgramError, match="kind 'sine' that makes %1: .* no such kind"
    ):
        run(program, integers(program))
