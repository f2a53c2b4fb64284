"""The driver: what it does with nodes that have no kernel."""

import pytest
import torch
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    add,
    check,
    gemms,
    linear,
    program,
    requantize,
    weights,
)
from program_cases import lone

from iptq_mm.native.commands import NOTHING
from iptq_mm.program.backends.native.context import Unsupported
from iptq_mm.program.backends.native.program import NativeProgram


def test_what_cannot_be_done_changes_nothing():
    """The product stays as it was, and the reason says what to do."""

    def build(r):
        x, wide = r.input((4, 24), -128, 127, 1.0), r.input((4, 16), *WIDE, 1.0)
        made = linear(r, x, weights(16, 24), WIDE, 0.4)
        constants = {'left': 2**31 + 1, 'right': 5, 'shift': 34}
        return r.node('add', [made, wide], (4, 16), WIDE, constants)

    native = check(program(build), fallbacks=1)
    assert native.fallbacks == {
        'add has no kernel for a factor of more than 32 bits: '
        'more bits for the coarser operand make it shorter': 1
    }
    assert gemms(native)[0].post == NOTHING


def test_an_attempt_that_fails_late_is_undone():
    """The product has taken the node in when it turns out to exceed 32 bits."""

    def build(r):
        x = r.input((4, 24), *SIGNED_BYTES, 1.0)
        made = linear(r, x, weights(16, 24), WIDE, 0.4)
        return requantize(r, made, (-(2**40), 2**40), 2.0**20)

    native = check(program(build), fallbacks=1)
    assert [g.post for g in gemms(native)] == [NOTHING]
    (reason,) = native.fallbacks
    assert reason.startswith('requantize has no kernel for integers in -1099511627776')


def test_a_move_of_a_constant():
    def build(r):
        table = r.tensor(torch.arange(6, dtype=torch.int8).view(2, 3), 'table')
        x = r.input((3, 2), *SIGNED_BYTES, 1.0)
        turned = r.node('permute', [table], (3, 2), SIGNED_BYTES, {}, {'dims': [1, 0]})
        return add(r, [x, turned], (3, 2), WIDE)

    native = check(program(build), fallbacks=1)
    assert native.fallbacks == {'permute has no kernel for a constant operand': 1}


def test_inputs_of_more_than_32_bits():
    made = lone('negate', [((3,), -(2**40), 2**40)], (-(2**40), 2**40))
    with pytest.raises(Unsupported, match='the program has no kernel for integers in'):
        NativeProgram(made)
