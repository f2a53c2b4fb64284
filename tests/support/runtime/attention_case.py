"""An attention of any size, any softmax, and with addends to its scores."""

from __future__ import annotations

import torch
from native_cases import SIGNED_BYTES, WIDE, add, function, program

from iptq_mm.intmath import QParams, dyadic

#: What masks add to the scores that they hide; one hides a whole row.
MASKS = {
    'mask': -400000,
    'light mask': -30000,
    'closed mask': -400000,
    'mask that raises': -400000,
}


def attention(
    groups,
    queries,
    keys,
    depth,
    high=65535,
    scale=3e-4,
    stages=(),
    name='table_softmax',
    value_depth=None,
    options=None,
):
    """A program; scores are ``scale`` wide, probabilities at most ``high``."""
    value_depth = value_depth or depth

    def build(r):
        q = r.input((*groups, queries, depth), *SIGNED_BYTES, 1.0)
        k = r.input((*groups, depth, keys), *SIGNED_BYTES, 1.0)
        v = r.input((*groups, keys, value_depth), -128, 127, 1.0)
        shape = (*groups, queries, keys)
        bound = depth * 127 * 127
        factor = dyadic(min(32767 / bound * 1.5, 100.0), 32)
        constants = {
            'bound': bound,
            'multiplier': factor.multiplier,
            'shift': factor.shift,
        }
        scores = r.node('matmul', [q, k], shape, WIDE, constants)
        generator = torch.Generator().manual_seed(1)
        for stage in stages:
            if isinstance(stage, tuple):  # made of an input, of this shape
                hidden = r.input(stage, 0, 1, 1.0)
                operands = [scores, r.node('negate', [hidden], stage, (-1, 0))]
                reached = (-90000 - 32767, 32767)
                factors = {'left': 2**10, 'right': 90000 * 2**10, 'shift': 10}
                scores = r.node('add', operands, shape, reached, factors)
            elif stage == 'bias':
                table = torch.randint(
                    -9999, 9999, (groups[-1], queries, keys), generator=generator
                ).to(torch.int16)
                scores = add(r, [scores, r.tensor(table, 'table')], shape, WIDE)
            else:
                hidden = torch.rand(queries, keys, generator=generator) < 0.4
                amount = -stage if isinstance(stage, int) else MASKS[stage]
                mask = hidden * amount
                if stage == 'closed mask':
                    mask[queries // 2] = amount
                if stage == 'mask that raises':
                    mask[0, 0] = 100
                scores = r.add_constant(scores, mask, shape)
        out = QParams(1.0 / high, 0, high)
        p = function(r, name, scores, scale, out, options=options)
        factor = dyadic(0.8 * 255 / (high * 127), 47)
        constants = {
            'bound': keys * high * 128,
            'multiplier': factor.multiplier,
            'shift': factor.shift,
        }
        result = (*groups, queries, value_depth)
        return r.node('matmul', [p, v], result, (-113, 142), constants)

    return program(build)
