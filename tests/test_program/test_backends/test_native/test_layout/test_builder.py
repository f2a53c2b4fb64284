"""Commands made of steps."""

import pytest
import torch

from iptq_mm.native.commands import Copy, Gemm
from iptq_mm.program.backends.native.layout.builder import Arena, Builder
from iptq_mm.program.backends.native.layout.steps import Address, Buffer, Step


@pytest.fixture
def buffer():
    return Buffer(100)


@pytest.fixture
def builder(buffer):
    return Builder(Arena({buffer: 64}, torch.UntypedStorage(256)))


def test_addresses_and_constants(builder, buffer):
    table = torch.arange(4)
    fields = {'a': Address(buffer, 3), 'table': table, 'm': 5, 'residual': None}
    made = builder.build(Step(Gemm, fields))
    assert made.a % 64 == 3 and made.m == 5 and not made.residual
    assert made.table == table.data_ptr()
    assert builder.kept == [table]


def test_structures_and_lists(builder, buffer):
    view = {'data': Address(buffer), 'stride': [0, 0, 0, 0, 4, 1]}
    made = builder.build(Step(Copy, {'shape': [1, 1, 1, 1, 2, 4], 'out': view}))
    assert list(made.shape) == [1, 1, 1, 1, 2, 4]
    assert made.out.data % 64 == 0 and list(made.out.stride)[-2:] == [4, 1]


def test_a_field_that_a_command_does_not_have(builder):
    with pytest.raises(TypeError, match='command Gemm has no field a_rwo: an emitter'):
        builder.build(Step(Gemm, {'a_rwo': 3}))
    with pytest.raises(TypeError, match=r'command Gemm\.window has no field hieght'):
        builder.build(Step(Gemm, {'window': {'hieght': 3}}))
    with pytest.raises(TypeError, match=r'command Gemm\.m is a number'):
        builder.build(Step(Gemm, {'m': {'left': 1}}))
