"""Running programs: what goes in is checked, what comes out is stored right."""

import pytest
import torch
from program_cases import LONE, equal, integers, lone, swin_program, vit_program

from iptq_mm.modes import blocks
from iptq_mm.program import Node, ProgramError, run
from iptq_mm.program.backends.reference import runner

PROGRAMS = {'vit': vit_program, 'swin': swin_program, **LONE}


@pytest.mark.parametrize('name', PROGRAMS)
def test_outputs_keep_their_promises(name):
    program = PROGRAMS[name]()
    for port, out in zip(program.outputs, run(program, integers(program)), strict=True):
        value = program.values[port.value]
        assert (out.dtype, tuple(out.shape)) == (value.dtype, value.shape)
        assert value.low <= int(out.min()) and int(out.max()) <= value.high


def test_what_lone_nodes_compute():
    (x,) = integers(LONE['amplify']())
    assert (
        run(LONE['amplify'](), [x])[0].tolist()
        == (x.long() * 2 ** torch.tensor([0, 3, 1, 2])).tolist()
    )
    (x,) = integers(LONE['negate']())
    assert torch.equal(run(LONE['negate'](), [x])[0].long(), -x.long())
    (x,) = integers(LONE['shifted by an int']())
    expected = (x.long() + 12).clamp(-90, 110)
    assert torch.equal(run(LONE['shifted by an int'](), [x])[0].long(), expected)
    (x,) = integers(LONE['gather']())
    expected = torch.tensor([[x[0, 3], 0], [x[2, 3], x[0, 0]]])
    assert torch.equal(run(LONE['gather'](), [x])[0].long(), expected.long())


def test_blocks_change_nothing(monkeypatch):
    program = swin_program()
    whole = runner(program, torch.device('cpu'), blocks=False)(integers(program))
    monkeypatch.setattr(blocks, 'BLOCK', 64)
    assert equal(run(program, integers(program)), whole)


def test_values_are_dropped_after_their_last_use():
    program = vit_program()
    dropped = [v for values in program.last_uses() for v in values]
    assert len(dropped) == len(set(dropped))
    assert set(dropped) == set(range(len(program.values))) - {program.outputs[0].value}


WRONG = {
    'no input': (lambda x: [], '0 inputs for 1'),
    'another shape': (lambda x: [x[..., :-1]], 'shape'),
    'another type': (lambda x: [x.int()], 'int32'),
    'too large': (lambda x: [torch.full_like(x, 999)], 'lies within'),
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_inputs(name):
    change, message = WRONG[name]
    program = vit_program()
    with pytest.raises(ValueError, match=message):
        run(program, change(*integers(program)))


def test_unknown_kinds():
    program = lone('negate', [((2,), -1, 1)], (-1, 1))
    program.nodes = [Node('sine', [0], 1)]
    with pytest.raises(ProgramError, match="kind 'sine'"):
        run(program, integers(program))
