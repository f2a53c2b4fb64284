"""ReLU on integers against floats."""

import pytest
import torch
from hypothesis import given, settings
from operation_cases import integers, kinds, quantizer, real, run, scales, seeds

from iptq_mm.intmath import QParams


@settings(deadline=None, max_examples=60)
@given(seeds, kinds, scales)
def test_relu_is_exact(seed, kind, scale):
    x_params = quantizer(kind, scale)
    x = integers(x_params, 5, 7, seed=seed)
    out = QParams(scale, 0, max(x_params.qmax, 1))
    result, constants = run('relu', [x], [x_params], out)
    assert constants == {} and result.dtype == x.dtype
    assert torch.equal(real(result, out), real(x, x_params).relu())


def test_another_scale_is_refused():
    x, x_params = torch.zeros(2, dtype=torch.int8), QParams(0.5, -8, 7)
    with pytest.raises(ValueError, match='its output the scale 0.25'):
        run('relu', [x], [x_params], QParams(0.25, 0, 7))
