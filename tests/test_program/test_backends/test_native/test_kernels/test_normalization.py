"""LayerNorm."""

import pytest
import torch
from native_cases import WIDE, check, function, linear, move, program, weights
from program_cases import equal

from iptq_mm.intmath import QParams
from iptq_mm.native.commands import Gather, LayerNorm
from iptq_mm.program import run
from iptq_mm.program.backends.native.program import NativeProgram


def layer_norm(
    shape,
    bounds=WIDE,
    out=(-113, 142),
    name='ivit_layernorm',
    scale=1e-3,
    options=None,
):
    size = shape[-1]
    affine = dict(
        gamma=torch.linspace(-1, 2, size, dtype=torch.float64),
        beta=torch.linspace(-1, 1, size, dtype=torch.float64),
    )

    def build(r, x=None):
        x = r.input(shape, *bounds, 1.0) if x is None else x
        return function(r, name, x, scale, QParams(0.03, *out), affine, options=options)

    return build


NAMES = ['ivit_layernorm', 'ibert_layernorm', 'fqvit_layernorm']


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('size', [2, 7, 31, 32, 96, 1030])
@pytest.mark.parametrize('out', [(-113, 142), (-127, 127), WIDE])
def test_layer_norm(level, size, out, name):
    check(program(layer_norm((3, 5, size), out=out, name=name)))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('scale', [1e-6, 1e-3, 30.0])
@pytest.mark.parametrize('bounds', [(-128, 127), (-3, 252), (-5, 5), (0, 1), WIDE])
def test_layer_norm_of_any_range(level, bounds, scale, name):
    check(program(layer_norm((6, 24), bounds, name=name, scale=scale)))


@pytest.mark.parametrize('name', NAMES)
def test_rows_without_variance(level, name):
    made = program(layer_norm((4, 16), name=name))
    x = torch.tensor([[0], [-32767], [32767], [1]], dtype=torch.int16).expand(4, 16)
    native = NativeProgram(made)
    assert equal(run(made, [x]), native.run([x.contiguous()]))


def test_rows_made_in_the_order_that_is_wanted(level):
    """Windows of padded, shifted rows cost no copy."""
    norm = layer_norm((1, 5, 6, 16))

    def build(r):
        x = norm(r)
        x = move(r, x, 'pad', (1, 6, 6, 16), before=[0] * 4, after=[0, 1, 0, 0])
        x = move(r, x, 'roll', (1, 6, 6, 16), shifts=[-1, 2], dims=[1, 2])
        x = move(r, x, 'reshape', (2, 3, 2, 3, 16), shape=[2, 3, 2, 3, 16])
        x = move(r, x, 'permute', (2, 2, 3, 3, 16), dims=[0, 2, 1, 3, 4])
        x = move(r, x, 'reshape', (4, 9, 16), shape=[4, 9, 16])
        return linear(r, x, weights(24, 16), WIDE, 0.4)

    native = check(program(build))
    commands = native.commands
    assert not any(isinstance(c, Gather) for c in commands)
    assert [c.rows for c in commands if isinstance(c, LayerNorm)] == [36]


@pytest.mark.parametrize('name', NAMES)
def test_published_forms_are_left_to_the_reference(name):
    made = layer_norm((3, 8), name=name, options={'literal': True})
    native = check(program(made), fallbacks=1)
    assert native.fallbacks == {
        f'layer_norm has no kernel for the literal form of {name}: {name} without '
        'literal=True has one': 1
    }
