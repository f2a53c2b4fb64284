"""64-bit ARM: quick forms and what they are instead of, on every instruction set."""

import pytest
from attention_case import attention
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    add,
    extremes,
    function,
    linear,
    program,
    weights,
)
from program_cases import integers
from runtime_cases import written
from runtime_checks.comparing import digest, predicted
from runtime_checks.targets import TARGETS

from iptq_mm.intmath import QParams
from iptq_mm.program import run

pytestmark = pytest.mark.slow

ARM = TARGETS['aarch64']
ROWS = 9  # an odd tile of them at the end


def product(r, n, bounds, ratio, depth=40):
    x = r.input((ROWS, depth), -128, 127, 1.0)
    return linear(r, x, weights(n, depth), bounds, ratio)


def gelu(n, bounds, scale, out, name='interpolated_gelu'):
    def build(r):
        hidden = product(r, n, bounds, bounds[1] / 20000)
        return function(r, name, hidden, scale, out)

    return program(build)


def residual(n, bounds, factors, ratio=0.4):
    def build(r):
        other = r.input((ROWS, n), *WIDE, 1.0)
        return add(r, [product(r, n, WIDE, ratio), other], (ROWS, n), bounds, factors)

    return program(build)


def cases():
    byte = QParams(0.02, -9, 246)
    for n in (5, 64, 84):
        for bounds, scale in ((WIDE, 3e-4), ((-2000, 3000), 2e-3), ((-300, 200), 0.02)):
            yield f'line {n} {bounds}', gelu(n, bounds, scale, byte)
        yield f'short line {n}', gelu(n, WIDE, 3e-4, QParams(0.02, -3, 100))
        yield f'table {n}', gelu(n, (-60, 195), 0.03, byte, 'table_gelu')
        yield f'short table {n}', gelu(n, (-100, 20), 0.03, byte, 'table_gelu')
        yield f'residual {n}', residual(n, WIDE, (0.999, 0.9999))
        yield f'short residual {n}', residual(n, (-100, 155), (1.9, 0.3))
        for bounds in (SIGNED_BYTES, (-20, 99), WIDE, (-700, 31000), (-40000, 40000)):
            for ratio in (1.7, 0.01, 0.0003):
                made = program(lambda r, n=n, b=bounds, f=ratio: product(r, n, b, f))
                yield f'product {n} {bounds} {ratio}', made
    # Deeper than a block: sums go on from those of rows.
    yield 'deep', program(lambda r: product(r, 84, SIGNED_BYTES, 0.0003, depth=2600))
    for high in (255, 30000, 65535):
        for keys in (5, 16, 35, 64):
            yield f'attention {keys} {high}', attention((2,), 7, keys, 16, high)
    for depth in (1, 4):  # scores that are shifted to the left, or not at all
        yield f'attention of {depth}', attention((2,), 7, 35, depth)
    for scale in (1e-6, 0.01, 2.0):
        yield f'attention {scale}', attention((2,), 7, 40, 64, scale=scale)
    for stages in (('bias',), ('mask',), ('bias', 'mask'), ((2, 1, 7, 35),)):
        for scale in (1e-6, 3e-4):
            made = attention((2, 3), 7, 35, 16, scale=scale, stages=stages)
            yield f'attention {stages} {scale}', made


def test_quick_forms_and_others(aarch64, tmp_path):
    path = tmp_path / 'made.iptq'
    for name, made in cases():
        written(made, path)
        for batch in (integers(made, 2), extremes(made, 3)):
            wanted = digest([x.numpy() for x in run(made, batch)])
            given = [x.numpy() for x in batch]
            for level in ('neon', 'dotprod', 'i8mm'):
                options = ['--isa', level]
                found = predicted(ARM.command(aarch64), path, given, options=options)
                assert digest(found) == wanted, (name, level)
