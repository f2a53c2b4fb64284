"""Running programs: what goes in is checked, what comes out is stored right."""

import pytest
import torch
from program_cases import LONE, integers, swin_program, vit_program

from iptq_mm.program import run

PROGRAMS = {'vit': vit_program, 'swin': swin_program, **LONE}


@pytest.mark.parametrize('name', PROGRAMS)
def test_outputs_keep_their_promises(name):
    program = PROGRAMS[name]()
    for port, out in zip(program.outputs, run(program, integers(program)), strict=True):
        value = program.values[port.value]
        assert (out.dtype, tuple(out.shape)) == (value.dtype, value.shape)
        assert value.low <= int(out.min()) and int(out.max()) <= value.high


def test_values_are_dropped_after_their_last_use():
    program = vit_program()
    dropped = [v for values in program.last_uses() for v in values]
    assert len(dropped) == len(set(dropped))
    assert set(dropped) == set(range(len(program.values))) - {program.outputs[0].value}


WRONG = {
    'no input': (lambda x: [], 'takes 1 inputs and was given 0; give int'),
    'another shape': (
        lambda x: [x[..., :-1]],
        'input 0 takes',
    ),
    'another type': (lambda x: [x.int()], 'was given torch.int32'),
    'floats': (lambda x: [x.float()], 'for real tensors, use Deployed'),
    'too large': (
        lambda x: [torch.full_like(x, 999)],
        r'was given 999\.\.999',
    ),
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_inputs(name):
    change, message = WRONG[name]
    program = vit_program()
    with pytest.raises(ValueError, match=message):
        run(program, change(*integers(program)))
