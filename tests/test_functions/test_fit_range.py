"""The range on which Poly-GELU was fitted: a constant that changes no integer."""

import torch

from iptq_mm.functions import FunctionSite
from iptq_mm.functions.gelu.poly_gelu import PolyGELU
from iptq_mm.intmath import QParams

X, OUT = QParams(0.01, -500, 500), QParams(0.05, -128, 127)


def test_range_of_the_samples():
    samples = torch.linspace(-1.234, 3.501, 200)
    constants = PolyGELU().prepare(FunctionSite(X, OUT, samples))
    assert (constants['fit_low'], constants['fit_high']) == (-124, 351)
    q = torch.arange(-500, 501)
    function = PolyGELU()
    without = {k: v for k, v in constants.items() if not k.startswith('fit')}
    assert torch.equal(function.integer(q, constants), function.integer(q, without))


def test_range_within_that_of_the_quantizer():
    samples = torch.linspace(-40.0, 40.0, 2000)
    constants = PolyGELU().prepare(FunctionSite(X, OUT, samples))
    assert (constants['fit_low'], constants['fit_high']) == (-500, 500)


def test_what_was_not_fitted_has_none():
    for function, samples in (
        (PolyGELU(), None),
        (PolyGELU(fit=False), torch.linspace(-1, 1, 200)),
        (PolyGELU(), torch.full((5,), 40.0)),  # they do not determine the pair
    ):
        constants = function.prepare(FunctionSite(X, OUT, samples))
        assert not [name for name in constants if name.startswith('fit')]
