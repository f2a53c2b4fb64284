"""Small programs for the native back end, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from program_cases import equal, integers
from torch import Tensor

from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams, dyadic
from iptq_mm.intmath.levels import level_table
from iptq_mm.native.commands import Gemm
from iptq_mm.operations.base import common_dyadic
from iptq_mm.program import Port, Program, run
from iptq_mm.program.backends.native.program import NativeProgram
from iptq_mm.program.tracing.recorder import Recorder
from iptq_mm.registry import FUNCTIONS

SIGNED_BYTES, WIDE = (-127, 127), (-32767, 32767)

Build = Callable[[Recorder], int | list[int]]


def program(build: Build) -> Program:
    """What a function records."""
    recorder = Recorder()
    made = build(recorder)
    outputs = made if isinstance(made, list) else [made]
    return recorder.finish('made', [Port(v, 1.0) for v in outputs])


def extremes(made: Program, seed: int) -> list[Tensor]:
    """Inputs of nothing but the smallest and the largest number."""
    generator = torch.Generator().manual_seed(seed)
    values = [made.values[port.value] for port in made.inputs]
    return [
        torch.where(torch.rand(v.shape, generator=generator) < 0.5, v.low, v.high).to(
            v.dtype
        )
        for v in values
    ]


def check(made: Program, fallbacks: int = 0) -> NativeProgram:
    """Make sure that a program gives the reference's integers, several times."""
    native = NativeProgram(made)
    assert sum(native.fallbacks.values()) == fallbacks, native.fallbacks
    for seed in range(2):
        for inputs in (integers(made, seed), extremes(made, seed)):
            assert equal(run(made, inputs), native.run(inputs))
    return native


def gemms(native: NativeProgram) -> list[Gemm]:
    """The matrix products of linear layers and convolutions."""
    return [c for c in native.commands if isinstance(c, Gemm)]


def linear(
    recorder: Recorder,
    x: int,
    weight: Tensor,
    bounds: tuple[int, int],
    ratio: float,
    kind: str = 'linear',
    shape: tuple[int, ...] | None = None,
    attributes: dict[str, Any] | None = None,
    offset: float = 0.0,
) -> int:
    """A linear layer whose channels have ratios from half of ``ratio`` up to it."""
    value, n = recorder.values[x], len(weight)
    ratios = torch.linspace(0.5, 1, n, dtype=torch.float64) * ratio
    ratios[n // 2 :: 7] *= -1  # scales of channels may have any sign
    sums = weight.int().abs().flatten(1).sum(1, dtype=torch.int64)
    bound = int(sums.max()) * value.bound
    bits = max(32, bound.bit_length() + 1)
    multiplier, shift = dyadic(ratios, bits, max_shift=50)
    assert isinstance(shift, Tensor) and isinstance(multiplier, Tensor)
    bias = torch.linspace(-9, 9, n, dtype=torch.float64) + offset
    half = torch.ones_like(shift) << (shift - 1)
    # As integer mode has it: what moves an asymmetric byte into int8.
    shifted = value.high - value.low <= 255 and not (
        value.low >= -128 and value.high <= 127
    )
    constants = {
        'bound': bound,
        'middle': value.low + 128 if shifted else 0,
        'multiplier': recorder.tensor(multiplier, 'multiplier'),
        'shift': recorder.tensor(shift, 'shift'),
        'offset': recorder.tensor(
            (bias * torch.pow(2.0, shift.double())).round().long() + half, 'offset'
        ),
    }
    weight_name = recorder.tensor(weight, 'weight')
    shape = shape or (*value.shape[:-1], n)
    return recorder.node(kind, [x, weight_name], shape, bounds, constants, attributes)


def weights(n: int, k: int, bits: int = 8, seed: int = 0) -> Tensor:
    """Random weights that use their whole range."""
    generator = torch.Generator().manual_seed(seed)
    most = 2 ** (bits - 1) - 1
    dtype = torch.int8 if bits <= 8 else torch.int16
    return torch.randint(-most, most + 1, (n, k), generator=generator).to(dtype)


def grouped_weights(
    n: int,
    taps: int,
    depth: int,
    group: int,
    code: int = 7,
    factor: int = 16,
    seed: int = 0,
) -> Tensor:
    """Random products of codes and of factors that groups of depths share."""
    draw = torch.Generator().manual_seed(seed)
    shape = (n, taps, -(-depth // group))
    factors = torch.randint(1, factor + 1, shape, generator=draw)
    codes = torch.randint(-code, code + 1, (n, taps, depth), generator=draw)
    each = factors.repeat_interleave(group, 2)[..., :depth]
    return (codes * each).to(torch.int8)


def to_levels(recorder: Recorder, x: int, out: QParams) -> int:
    """A value as the levels of a quantizer."""
    assert out.levels is not None
    table = recorder.tensor(level_table(out.levels, out.qmin, out.qmax), 'levels')
    constants = {'table': table, 'first': out.qmin}
    value = recorder.values[x]
    return recorder.node('to_levels', [x], value.shape, (out.qmin, out.qmax), constants)


def function(
    recorder: Recorder,
    name: str,
    x: int,
    scale: float,
    out: QParams,
    affine: dict[str, Tensor] | None = None,
    bounds: tuple[int, int] | None = None,
    options: dict[str, Any] | None = None,
) -> int:
    """A node of a registered integer function."""
    described = dict(type=name, **(options or {}))
    made, value = FUNCTIONS.build(dict(described)), recorder.values[x]
    site = FunctionSite(QParams(scale, value.low, value.high), out, **(affine or {}))
    constants = {
        k: recorder.tensor(v, k) if isinstance(v, Tensor) else v
        for k, v in made.prepare(site).items()
    }
    return recorder.node(
        made.kind,
        [x],
        value.shape,
        bounds or (out.qmin, out.qmax),
        constants,
        function=described,
        site=name,
    )


def add(
    recorder: Recorder,
    operands: list[int | str],
    shape: tuple[int, ...],
    bounds: tuple[int, int],
    ratios: tuple[float, float] = (0.7, 0.4),
) -> int:
    """A sum with one rounding."""
    (left, right), shift = common_dyadic(ratios, (32767, 32767))
    constants = {'left': left, 'right': right, 'shift': shift}
    return recorder.node('add', operands, shape, bounds, constants)


def matmul(
    recorder: Recorder,
    a: int,
    b: int,
    shape: tuple[int, ...],
    bounds: tuple[int, int],
    ratio: float,
) -> int:
    """A product of two activations."""
    left, right = recorder.values[a], recorder.values[b]
    bound = left.shape[-1] * left.bound * right.bound
    factor = dyadic(ratio, max(32, bound.bit_length() + 1))
    constants = {
        'bound': bound,
        'multiplier': factor.multiplier,
        'shift': factor.shift,
    }
    return recorder.node('matmul', [a, b], shape, bounds, constants)


def move(
    recorder: Recorder, x: int, kind: str, made: tuple[int, ...], /, **a: Any
) -> int:
    """A node that only moves."""
    value = recorder.values[x]
    return recorder.node(kind, [x], made, (value.low, value.high), {}, a)


def conv(
    recorder: Recorder,
    x: int,
    out: int,
    kernel: int = 3,
    bounds: tuple[int, int] = WIDE,
    ratio: float = 0.05,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    bits: int = 8,
) -> int:
    """A convolution of random weights, ``out`` channels, and square windows."""
    n, c, *size = recorder.values[x].shape
    flat = weights(out, c // groups * kernel**2, bits)
    span = dilation * (kernel - 1) + 1
    made = [(s + 2 * padding - span) // stride + 1 for s in size]
    attributes = dict(
        stride=[stride] * 2,
        padding=[padding] * 2,
        dilation=[dilation] * 2,
        groups=groups,
    )
    weight = flat.view(out, c // groups, kernel, kernel)
    shape = (n, out, *made)
    return linear(recorder, x, weight, bounds, ratio, 'conv2d', shape, attributes)


def relu(recorder: Recorder, x: int, bounds: tuple[int, int] | None = None) -> int:
    """A ReLU, clamped to bounds of its own if there are any."""
    value = recorder.values[x]
    return recorder.node('relu', [x], value.shape, bounds or (0, value.high))


def requantize(
    recorder: Recorder, x: int, bounds: tuple[int, int], ratio: float = 0.007
) -> int:
    """A change of scale."""
    constants = {'multiplier': round(ratio * 2**36), 'shift': 36}
    shape = recorder.values[x].shape
    return recorder.node('requantize', [x], shape, bounds, constants)
