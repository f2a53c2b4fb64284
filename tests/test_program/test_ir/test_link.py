"""Programs joined to one."""

from dataclasses import replace

import pytest
import torch
from program_cases import block_program, integers
from region_models import same

from iptq_mm.intmath import QParams
from iptq_mm.program import ProgramError, run
from iptq_mm.program.ir.link import link
from iptq_mm.program.tracing.recorder import Recorder


def negated(giver, output=0, scale=None):
    """A program that negates what another gives."""
    port = giver.outputs[output]
    value = giver.values[port.value]
    recorder = Recorder()
    number = recorder.input(value.shape, value.low, value.high, scale or port.scale)
    made = recorder.node('negate', [number], value.shape, (-value.high, -value.low))
    return recorder.finish('negation', [replace(port, value=made)])


def test_one_after_the_other():
    first = block_program()
    second = negated(first)
    whole = link([first, second], {(1, 0): (0, 0)})
    assert whole.region == f'{first.region}+negation'
    inputs = integers(first)
    assert same(run(whole, inputs), run(second, run(first, inputs)))
    assert len(whole.values) == len(first.values) + len(second.values) - 1
    assert all(node.site.startswith(first.region) for node in whole.nodes if node.site)
    # The parts stay as they are.
    first.check()
    second.check()


def test_outputs_that_are_wanted_twice():
    first = block_program()
    whole = link([first, negated(first)], {(1, 0): (0, 0)}, {0})
    inputs = integers(first)
    expected, negative = run(whole, inputs)
    assert same([expected], run(first, inputs))
    assert torch.equal(negative.long(), -expected.long())


def test_without_wires():
    first = block_program()
    second = negated(first)
    whole = link([first, second], {})
    x, y = integers(first), integers(second, 1)
    assert same(run(whole, [*x, *y]), [*run(first, x), *run(second, y)])


def test_chain_of_three():
    first = block_program()
    second = negated(first)
    third = negated(second)
    whole = link([first, second, third], {(1, 0): (0, 0), (2, 0): (1, 0)})
    inputs = integers(first)
    assert same(run(whole, inputs), run(first, inputs))


def test_ends_that_do_not_fit():
    first = block_program()
    scale = QParams.symmetric(1.0, 8).scale
    there = 'output 0 of .* to input 0 of'
    with pytest.raises(ProgramError, match=f'{there} .* that differ: .* in one run'):
        link([first, negated(first, scale=scale)], {(1, 0): (0, 0)})
    with pytest.raises(ProgramError, match=f'{there} .* runs first: give'):
        link([negated(first), first], {(0, 0): (1, 0)})
