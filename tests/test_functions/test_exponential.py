import math

import numpy as np
import pytest
import torch

from iptq_mm.functions.exponential import (
    CHORD_ONE,
    QUADRATIC_ONE,
    chord_exp,
    quadratic_exp,
    tangent_exp_,
)
from iptq_mm.functions.exponents import (
    FRACTION_BITS,
    prepare_exponent,
    to_exponent_,
)
from iptq_mm.intmath import QParams


def exponents(step=2.0**-12, high=1.0):
    """Differences 0 .. high at a fine step, as base-2 exponents."""
    d = torch.arange(round(high / step) + 1, dtype=torch.int32)
    constants = prepare_exponent(QParams(step, 0, 65535), 1.0)
    return d.double() * step, to_exponent_(d, constants)


def test_split_is_exact():
    real, whole = exponents(high=15.0)
    assert ((whole.double() / 2**FRACTION_BITS - real).abs() < 1e-6).all()


def test_published_errors_against_powers_of_two():
    """RMS over [-1, 1] against 2**x: 0.1717 for 1 + x/2, 0.1126 for 1 + ln2*x."""
    x = np.linspace(-1, 1, 200001)

    def rms(slope):
        return np.sqrt(np.mean((1 + slope * x - 2.0**x) ** 2))

    assert rms(0.5) == pytest.approx(0.1717, abs=5e-5)
    assert rms(math.log(2)) == pytest.approx(0.1126, abs=5e-5)
    assert rms(11 / 16) == pytest.approx(0.1132, abs=5e-5)


def test_errors_on_the_ranges_that_a_split_makes():
    """The integer exponentials show the errors of their real formulas."""
    real, fine = exponents(high=1.0 - 2.0**-12)
    exact = torch.exp2(-real)

    def rms(e, one):
        return float((e.double() / one - exact).square().mean().sqrt())

    one = 1 << FRACTION_BITS
    assert rms(chord_exp(fine.clone()), CHORD_ONE) == pytest.approx(0.0314, abs=1e-4)
    floor = rms(tangent_exp_(fine.clone(), nearest=False), one)
    assert floor == pytest.approx(0.0864, abs=1e-4)
    # Over a whole octave: half of it belongs to the next, where all is half.
    nearest = tangent_exp_(fine.clone(), nearest=True).double() / one
    lower, upper = real <= 0.5, real > 0.5
    error = torch.cat([(nearest - exact)[lower], 2 * (nearest - exact)[upper]])
    assert float(error.square().mean().sqrt()) == pytest.approx(0.0274, abs=1e-4)
    quadratic = rms(quadratic_exp(fine.clone()), QUADRATIC_ONE)
    assert quadratic == pytest.approx(0.00137, abs=2e-5)
