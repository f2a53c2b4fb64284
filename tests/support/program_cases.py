"""Programs of tiny models, and integers to run them on."""

from __future__ import annotations

import inspect
import logging
from functools import cache
from typing import Any

import torch
from region_models import Custom, images, mmdet_swin, quantized, rows, vit
from torch import Tensor, nn

from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams
from iptq_mm.intmath.levels import level_table
from iptq_mm.operations.base import common_dyadic
from iptq_mm.program import Port, Program, trace
from iptq_mm.program.tracing.recorder import Recorder
from iptq_mm.registry import FUNCTIONS

# pytest would keep, and format, every line of torch's log of what it traces.
logging.getLogger('torch.__trace').propagate = False


@cache
def quantized_vit() -> Any:
    return quantized(vit(), [images(2, 3, 32, 32, seed=s) for s in range(2)])


@cache
def quantized_swin() -> Any:
    """mmdet's Swin with two outputs and sizes that need padding everywhere."""
    return quantized(mmdet_swin(), [images(1, 3, 50, 70, seed=s) for s in range(2)])


@cache
def vit_program() -> Program:
    return trace(quantized_vit().backbone, (images(2, 3, 32, 32),)).program


@cache
def swin_program() -> Program:
    return trace(quantized_swin().backbone, (images(1, 3, 50, 70),)).program


@cache
def block_program() -> Program:
    """What a transformer does, once."""

    def body(m: Any, x: Tensor) -> Tensor:
        x = x + nn.functional.gelu(m.last(x.roll(1, 1)))[:, [1, 0, 2, 4, 3]]
        return (x @ x.mT / 4).softmax(-1) @ x

    net = quantized(Custom(body), [rows(seed=s) for s in range(2)])
    return trace(net.backbone, (rows(),)).program


def integers(program: Program, seed: int = 0) -> list[Tensor]:
    """Random inputs of a program, all of their range used."""
    generator = torch.Generator().manual_seed(seed)
    values = [program.values[port.value] for port in program.inputs]
    return [
        torch.randint(v.low, v.high + 1, v.shape, generator=generator).to(v.dtype)
        for v in values
    ]


def equal(some: list[Tensor], others: list[Tensor]) -> bool:
    """Whether the integers and their types are the same."""
    return all(
        a.dtype == b.dtype and torch.equal(a, b)
        for a, b in zip(some, others, strict=True)
    )


def lone(
    kind: str,
    inputs: list[tuple[tuple[int, ...], int, int]],
    bounds: tuple[int, int],
    constants: dict[str, Any] | None = None,
    attributes: dict[str, Any] | None = None,
    shape: tuple[int, ...] | None = None,
    **named: Any,
) -> Program:
    """A program of one node on inputs of these shapes and bounds."""
    recorder = Recorder()
    numbers = [recorder.input(shape, low, high, 0.5) for shape, low, high in inputs]
    held = {
        name: recorder.tensor(value, name) if isinstance(value, Tensor) else value
        for name, value in (constants or {}).items()
    }
    output = recorder.node(
        kind, numbers, shape or inputs[0][0], bounds, held, attributes, **named
    )
    return recorder.finish('lone', [Port(output, 1.0)])


def function_program(name: str, options: dict[str, Any], size: int = 12) -> Program:
    """A program of one integer function."""
    function = FUNCTIONS.build(dict(type=name, **options))
    bits = min(function.max_input_bits, 12)
    x = QParams.symmetric(6.0, bits)
    out = QParams.symmetric(1.0 if function.kind == 'softmax' else 6.0, 16)
    affine = {}
    if function.kind == 'layer_norm':
        affine = dict(
            gamma=torch.linspace(-1, 2, size, dtype=torch.float64),
            beta=torch.linspace(-1, 1, size, dtype=torch.float64),
        )
    return lone(
        function.kind,
        [((5, size), x.qmin, x.qmax)],
        (out.qmin, out.qmax),
        function.prepare(FunctionSite(x, out, **affine)),
        function=dict(type=name, **options),
        site='alone',
    )


#: Registered functions without a native kernel: the reference runs them.
REFERENCE_ONLY = {'di_clipped_softmax'}


def functions() -> list[tuple[str, dict[str, Any]]]:
    """Every registered function, in all of its forms."""
    forms: list[tuple[str, dict[str, Any]]] = []
    for name, function in sorted(FUNCTIONS.module_dict.items()):
        forms.append((name, {}))
        if 'literal' in inspect.signature(function.__init__).parameters:
            forms.append((name, {'literal': True}))
    return forms


def few_and_many_bits() -> Program:
    """A sum whose coarser operand has a factor of more than 32 bits."""
    ratios, ends = (4525.1, 0.7), ((-7, 7), (0, 65535))
    (left, right), shift = common_dyadic(ratios, [high for _, high in ends])
    assert left >= 2**31
    constants = {'left': left, 'right': right, 'shift': shift}
    inputs = [((3, 40), *pair) for pair in ends]
    return lone('add', inputs, (-32767, 32767), constants)


#: Kinds, and constants, that the tiny models do not have.
LONE = {
    'add': few_and_many_bits,
    'mul': lambda: lone(
        'mul',
        [((3, 4), -100, 100), ((3, 4), -7, 9)],
        (-127, 127),
        {'multiplier': 3**17, 'shift': 30},
    ),
    'mean': lambda: lone(
        'mean',
        [((2, 6, 5), -300, 300)],
        (-128, 127),
        {'multiplier': 2**28 // 6, 'shift': 29},
        {'dim': [1], 'keepdim': False},
        (2, 5),
    ),
    'max': lambda: lone(
        'max',
        [((2, 6, 5), -300, 300)],
        (-128, 127),
        {'multiplier': 2**28, 'shift': 29},
        {'dim': [1, -1], 'keepdim': True},
        (2, 1, 1),
    ),
    'requantize': lambda: lone(
        'requantize',
        [((3, 50), -32767, 32767)],
        (-100, 155),
        {'multiplier': 12345678, 'shift': 31},
    ),
    'shift_channels': lambda: lone(
        'shift_channels',
        [((3, 4), -128, 127)],
        (-1024, 1016),
        {'powers': torch.tensor([0, 3, 1, 2], dtype=torch.int8)},
    ),
    'to_levels': lambda: lone(
        'to_levels',
        [((7, 40), -60, 195)],
        (-60, 195),
        {'table': level_table((-9, 0, 3, 14, 190), -60, 195), 'first': -60},
    ),
    'relu': lambda: lone('relu', [((7, 40), -128, 127)], (0, 100)),
    'negate': lambda: lone('negate', [((7, 40), -128, 127)], (-127, 128)),
    'add_constant of an int': lambda: lone(
        'add_constant', [((7, 40), -128, 127)], (-90, 110), {'addend': 12}
    ),
    'gather': lambda: lone(
        'gather',
        [((3, 4), -9, 9)],
        (-9, 9),
        {'index': torch.tensor([3, -1, 11, 0], dtype=torch.int32)},
        {'shape': [2, 2], 'zeros': True},
        (2, 2),
    ),
    'embedding': lambda: lone(
        'embedding',
        [((3, 4), 0, 5)],
        (-300, 300),
        {'table': torch.arange(-150, 150, 5, dtype=torch.int16).view(6, 10)},
        {},
        (3, 4, 10),
    ),
    'expand': lambda: lone(
        'expand', [((3, 1), -9, 9)], (-9, 9), None, {'shape': [2, 3, 5]}, (2, 3, 5)
    ),
}
