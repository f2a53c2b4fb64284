"""Watched programs: the same integers, and the counts of eager integer mode."""

import pytest
import torch
from program_cases import LONE, equal, integers, lone, swin_program, vit_program

from iptq_mm.native.library import available
from iptq_mm.out_of_range import SLOTS, OutOfRangeLog, count_outside, fit_name
from iptq_mm.program import run
from iptq_mm.program.backends.base import backend_named
from iptq_mm.program.ir.semantics import node_function
from iptq_mm.program.ir.watch import WATCH, WatchedProgram

CPU = torch.device('cpu')
BACKENDS = [
    'reference',
    pytest.param('native', marks=pytest.mark.skipif(not available(), reason='no g++')),
]
PROGRAMS = {'vit': vit_program, 'swin': swin_program, **LONE}


def counts_of(program, inputs, backend):
    watched = WatchedProgram(program, CPU)
    made = backend_named(backend).prepare(watched.program, CPU)
    outputs = made.run(inputs)
    log = OutOfRangeLog()
    watched.take(log)
    return outputs, log


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('name', PROGRAMS)
def test_outputs_stay(name, backend):
    program = PROGRAMS[name]()
    inputs = integers(program)
    outputs, log = counts_of(program, inputs, backend)
    assert equal(outputs, run(program, inputs))
    sites = {node.site for node in program.nodes if node.site}
    assert sites <= set(log.sites)
    for node in program.nodes:
        if node.site:
            size = torch.Size(program.values[node.output].shape).numel()
            assert log.sites[node.site].total == size


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize(
    'low, high, factor, wide',
    [
        (-128, 127, 3, 2000),  # bytes
        (0, 255, 1, 2**31 - 200),  # the limit of what is followed
        (-32767, 32767, 1, 2**17),  # words
        (0, 65535, 5, 2**20),
        (-(2**20), 2**20, 3, 2**29),  # of more than 17 bits
        (-(2**30), 2**30 - 1, 1, 2**31 - 1),
    ],
)
def test_counts_of_a_node(low, high, factor, wide, backend):
    """Far outside, on both sides, and exactly at the bounds."""
    program = lone(
        'requantize',
        [((4, 300), -wide, wide)],
        (low, high),
        {'multiplier': 2 * factor, 'shift': 1},
        site='narrow/requantize:0',
    )
    torch.manual_seed(0)
    size = 10 ** (torch.rand(4, 300) * torch.tensor(float(wide)).log10())
    x = (size * torch.randn(4, 300).sign()).long().clamp(-wide, wide)
    x[0, :4] = torch.tensor([low // factor, high // factor, wide, -wide])
    x = x.to(program.values[0].dtype)
    _, log = counts_of(program, [x], backend)
    counts = torch.zeros(SLOTS, dtype=torch.int64)
    count_outside(x.long() * factor, low, high, counts)
    seen = log.sites['narrow/requantize:0']
    expected = OutOfRangeLog()
    expected.at('x').add(counts.tolist(), x.numel(), high - low)
    assert seen == expected.sites['x']
    assert seen.outside > 20


def test_all_inside():
    program = lone('negate', [((7, 40), -128, 127)], (-127, 128), site='s/negate:0')
    _, log = counts_of(program, integers(program), 'reference')
    assert log.sites['s/negate:0'].outside == 0


@pytest.mark.parametrize('backend', BACKENDS)
def test_fit_range_of_the_input(backend):
    """Counted, but not clamped."""
    program = vit_program()
    node = next(n for n in program.nodes if n.function and n.kind == 'gelu')
    node.constants.update(fit_low=-50, fit_high=60)
    try:
        inputs = integers(program)
        outputs, log = counts_of(program, inputs, backend)
        assert equal(outputs, run(program, inputs))
        seen = log.sites[fit_name(node.site)]
        assert seen.width == 110 and seen.outside > 0
    finally:
        del node.constants['fit_low'], node.constants['fit_high']


def test_take_begins_anew():
    program = LONE['requantize']()
    watched = WatchedProgram(program, CPU)
    executable = backend_named('reference').prepare(watched.program, CPU)
    logs = []
    for _ in range(2):
        executable.run(integers(program))
        logs.append(OutOfRangeLog())
        watched.take(logs[-1])
    assert logs[0] == logs[1]


def test_semantics_of_the_kind():
    program = lone('negate', [((3,), -9, 9)], (-9, 9), site='s/negate:0')
    watched = WatchedProgram(program, CPU).program
    node = watched.nodes[-1]
    assert node.kind == WATCH
    counts = torch.zeros(SLOTS, dtype=torch.int64)
    compute = node_function(node, watched.values[node.output])
    x = torch.tensor([-20, 5, 10], dtype=torch.int16)
    made = compute([x], {'counts': counts, 'low': -9, 'high': 9})
    assert made.tolist() == [-9, 5, 9] and int(counts[:64].sum()) == 2
