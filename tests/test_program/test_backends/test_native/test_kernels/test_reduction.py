"""Means along dimensions."""

import math

import pytest
from native_cases import check
from program_cases import LONE, lone


@pytest.mark.parametrize('dims', [[0], [1], [2], [0, 2], [1, 2]])
@pytest.mark.parametrize('keepdim', [False, True])
def test_mean(level, dims, keepdim):
    shape = (3, 4, 300)
    kept = [
        1 if d in dims else n for d, n in enumerate(shape) if keepdim or d not in dims
    ]
    count = math.prod(shape[d] for d in dims)
    constants = {'multiplier': (3 << 29) // (2 * count), 'shift': 30}
    attributes = {'dim': dims, 'keepdim': keepdim}
    check(
        lone(
            'mean', [(shape, -300, 300)], (-200, 55), constants, attributes, tuple(kept)
        )
    )
    check(LONE['mean']())
