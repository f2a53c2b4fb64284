"""What compilers are given makes the integers of the reference."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from program_cases import equal, function_program, functions, integers, lone

from iptq_mm.intmath.product import int8_product_is_exact
from iptq_mm.program import Port, Program, run
from iptq_mm.program.backends.compiled.graph import whole_graph
from iptq_mm.program.tracing.recorder import Recorder

CPU = torch.device('cpu')


def same(program: Program) -> bool:
    """Of random integers, and of the lowest and the highest."""
    ports = [program.values[port.value] for port in program.inputs]
    graph = whole_graph(program, CPU)
    ends = [
        [torch.full(v.shape, end(v), dtype=v.dtype) for v in ports]
        for end in (lambda v: v.low, lambda v: v.high)
    ]
    return all(equal(graph(*x), run(program, x)) for x in (integers(program, 1), *ends))


def targets(program: Program) -> str:
    return ' '.join(str(n.target) for n in whole_graph(program, CPU).graph.nodes)


@pytest.mark.parametrize('name, options', functions())
def test_functions(name, options):
    assert same(function_program(name, options))


def conv(size: tuple[int, int], kernel: tuple[int, int], stride: list[int]) -> Program:
    """Two images of three channels, to five."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-127, 128, (5, 3, *kernel), generator=generator)
    weight = weight.to(torch.int8)
    out = [(s - k) // t + 1 for s, k, t in zip(size, kernel, stride, strict=True)]
    recorder = Recorder()
    tensors = {
        'multiplier': torch.full((5,), 2**24 + 1),
        'shift': torch.full((5,), 30),
        'offset': torch.arange(5) * 2**29,
    }
    output = recorder.node(
        'conv2d',
        [recorder.input((2, 3, *size), -123, 132, 0.5), recorder.tensor(weight, 'w')],
        (2, 5, *out),
        (-300, 300),
        {
            'bound': int(weight.abs().long().flatten(1).sum(1).max()) * 132,
            'middle': 5,
            **{name: recorder.tensor(x, name) for name, x in tensors.items()},
        },
        dict(stride=stride, padding=[0, 0], dilation=[1, 1], groups=1),
    )
    return recorder.finish('conv', [Port(output, 1.0)])


@settings(deadline=None, max_examples=15)
@given(*(st.integers(n, m) for n, m in [(4, 9), (4, 9), (1, 4), (1, 4)]))
def test_convolutions_of_patches(h, w, kh, kw):
    program = conv((h, w), (kh, kw), [kh, kw])
    assert same(program)
    assert 'convolution' not in targets(program)


def test_other_convolutions():
    program = conv((7, 8), (3, 2), [2, 2])
    assert same(program)
    assert 'convolution' in targets(program)


@pytest.mark.parametrize('low, high', [(0, 65535), (-127, 127), (-100, 155)])
def test_attention(low, high):
    program = lone(
        'matmul',
        [((2, 64, 65), low, high), ((2, 65, 64), -128, 127)],
        (-32767, 32767),
        {'bound': 65 * 65535 * 128, 'multiplier': 2**28 + 1, 'shift': 42},
        shape=(2, 64, 64),
    )
    assert same(program)
    assert ('int8_bmm' in targets(program)) == int8_product_is_exact()
