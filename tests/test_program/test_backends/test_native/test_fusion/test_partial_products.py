"""Parts, windows and reorderings of what a product makes, before something else."""

import pytest
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    add,
    check,
    conv,
    function,
    linear,
    move,
    program,
    relu,
    weights,
)

from iptq_mm.intmath import QParams
from iptq_mm.native.commands import Gemm

#: Of a value of (3, 4, 16): shape, kind and attributes of a move.
PARTS = {
    'the first': ((1, 4, 16), 'slice', {'starts': [0, 0, 0], 'sizes': [1, 4, 16]}),
    'the second': ((1, 4, 16), 'slice', {'starts': [1, 0, 0], 'sizes': [1, 4, 16]}),
    'a token': ((3, 1, 16), 'slice', {'starts': [0, 2, 0], 'sizes': [3, 1, 16]}),
    'rows': ((4, 16), 'strided', {'strides': [16, 1]}),
    'rows again': ((3, 2, 16), 'strided', {'strides': [16, 16, 1]}),
    'all': ((3, 4, 16), 'strided', {'strides': [64, 16, 1]}),
    'turned': ((4, 3, 16), 'strided', {'strides': [16, 64, 1]}),
}


def moved(r, x, name):
    shape, kind, attributes = PARTS[name]
    if kind == 'slice':
        return move(r, x, kind, shape, **attributes, steps=[1] * len(shape))
    return move(r, x, kind, shape, **attributes, shape=list(shape), offset=0)


@pytest.mark.parametrize('name', PARTS)
@pytest.mark.parametrize('after', ['add', 'relu', 'gelu', 'linear'])
def test_parts_of_a_product(level, name, after):
    def build(r):
        x = r.input((3, 4, 20), *SIGNED_BYTES, 1.0)
        y = linear(r, x, weights(16, 20), SIGNED_BYTES, 0.02)
        part = moved(r, y, name)
        shape = PARTS[name][0]
        if after == 'add':
            return add(r, [part, r.input(shape, *WIDE, 1.0)], shape, WIDE)
        if after == 'relu':
            return relu(r, part)
        if after == 'gelu':
            out = QParams(0.02, -8, 247)
            return function(r, 'table_gelu', part, 0.02, out)
        return linear(r, part, weights(9, 16), SIGNED_BYTES, 0.02)

    check(program(build))


@pytest.mark.parametrize('starts', [0, 2])
def test_a_part_of_a_batch_before_a_transposed_convolution(level, starts):
    def build(r):
        x = r.input((4, 8, 3, 3), *SIGNED_BYTES, 1.0)
        y = conv(r, x, 16, 1, bounds=SIGNED_BYTES)
        part = {'starts': [starts, 0, 0, 0], 'sizes': [2, 16, 3, 3], 'steps': [1] * 4}
        y = move(r, y, 'slice', (2, 16, 3, 3), **part)
        return move(r, y, 'reshape', (2, 4, 2, 2, 3, 3), shape=[2, 4, 2, 2, 3, 3])

    check(program(build))


def test_windows_of_many_dimensions(level):
    """More than a command has; a copy has fewer."""
    shape, strides = (3, 3, 3, 3, 2, 2, 2, 2), [64, 16, 4, 1] * 2

    def build(r):
        x = r.input((4, 4, 4, 4), *SIGNED_BYTES, 1.0)
        attributes = {'shape': list(shape), 'strides': strides, 'offset': 0}
        return relu(r, move(r, x, 'strided', shape, **attributes))

    check(program(build))


def test_rows_of_windows_are_not_copied(level):
    """A product reads rows as they lie, and writes its own where they belong."""
    windows = {'shape': [1, 2, 2, 32, 7, 7], 'strides': [6272, 3136, 224, 1, 448, 32]}
    shape = (1, 2, 2, 7, 7, 32)

    def build(r):
        x = r.input((1, 14, 14, 32), *SIGNED_BYTES, 1.0)
        y = move(r, x, 'strided', (1, 2, 2, 32, 7, 7), **windows, offset=0)
        y = move(r, y, 'permute', shape, dims=[0, 1, 2, 4, 5, 3])
        return linear(r, y, weights(16, 32), SIGNED_BYTES, 0.02)

    native = check(program(build))
    kinds = [type(command) for command in native.commands]
    assert kinds.count(Gemm) == 1
    (product,) = [c for c in native.commands if isinstance(c, Gemm)]
    assert product.rows, kinds
