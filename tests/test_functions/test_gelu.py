import math

import numpy as np
import pytest
import torch
from function_cases import Case, build, names_of, sqnr, typical
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from iptq_mm.functions import FunctionSite
from iptq_mm.functions.gelu.poly_gelu import PUBLISHED
from iptq_mm.intmath import QParams

# Largest error of the real-valued formula, and its largest ratio to |x| (what
# remains of the error for small inputs), from evaluating the formulas:
# i-GELU 0.0182 and 0.048 (L(0+) = 0.096), Poly-GELU 0.0093 and 0.028,
# x * sigmoid(1.702x) with ShiftExp 0.024 and 0.02. A straight line is off by
# h^2 / 8 * max|GELU''| with h = 4.5 / 64 and 0.8; what is left of GELU beyond 4.5 is
# less.
LIMITS = {
    'interpolated_gelu': (0.0005, 0.030),
    'i_gelu': (0.0186, 0.050),
    'long_table_gelu': (0.0, 0.0),
    'poly_gelu': (0.0096, 0.030),
    'shift_gelu': (0.0245, 0.030),
    'table_gelu': (0.0, 0.0),
}

functions = st.sampled_from(sorted(LIMITS))
bits = st.sampled_from([8, 16])


def grid(low=-3.0, high=3.0):
    """A site fine enough to show the formula and not the quantizers."""
    x = QParams(2.0**-12, -32767, 32767)
    q = torch.arange(int(low * 4096), int(high * 4096) + 1)
    return FunctionSite(x, QParams(2.0**-13, -32767, 32767)), q


@settings(deadline=None, max_examples=80)
@given(functions, bits, bits, st.floats(-14, 9), st.booleans(), st.integers(0, 99))
def test_matches_the_reference(name, in_bits, out_bits, log2_amax, affine, seed):
    function = build(name)
    in_bits = min(in_bits, function.max_input_bits)
    amax = 2.0**log2_amax
    if affine:
        x = QParams.asymmetric(-amax / 5, amax, in_bits)
    else:
        x = QParams.symmetric(amax, in_bits)
    case = Case(function, x, typical('gelu', in_bits, amax, seed), out_bits, affine)
    largest, relative = LIMITS[name]
    formula = torch.minimum(torch.tensor(largest), relative * case.real.abs())
    # One rounding at the output, one in the 15 bits of what multiplies x, a small one
    # in the position between two entries of a table.
    rounding = 0.56 * case.step + 2.0**-13 * case.real.abs()
    assert (case.error <= formula + rounding).all()


def test_every_gelu_is_covered():
    assert set(LIMITS) == set(names_of('gelu'))


@pytest.mark.parametrize('name', sorted(LIMITS))
def test_large_inputs_are_x_or_zero(name):
    function = build(name)
    x = QParams(0.5, -127, 127)
    q = torch.tensor([-127, -100, -50, 0, 50, 100, 127], dtype=torch.int8)
    constants = function.prepare(FunctionSite(x, QParams(0.5, -127, 127)))
    assert function.integer(q, constants).tolist() == [0, 0, 0, 0, 50, 100, 127]


@pytest.mark.parametrize('name', sorted(LIMITS))
def test_smallest_code_of_eight_bits(name):
    """``-(-128)`` has no 8-bit code."""
    function = build(name)
    site = FunctionSite(QParams(0.01, -128, 127), QParams(0.005, -255, 255))
    q = torch.tensor([-128], dtype=torch.int8)
    out = function.integer(q, function.prepare(site)) * 0.005
    assert float(out) == pytest.approx(float(function.reference(q * 0.01)), abs=0.03)


def test_table_is_exact_up_to_rounding():
    for approximate in ('none', 'tanh'):
        function = build('table_gelu')
        x, out = QParams(0.037, -90, 165), QParams(0.0291, -6, 249)
        q = torch.arange(-90, 166)
        reference = function.reference(q.double() * 0.037, approximate=approximate)
        expected = torch.round(reference / 0.0291).long()
        constants = function.prepare(FunctionSite(x, out, approximate=approximate))
        assert torch.equal(function.integer(q, constants), expected)


def test_tanh_reference():
    x = torch.linspace(-3, 3, 7)
    expected = torch.nn.functional.gelu(x, approximate='tanh')
    assert torch.equal(build('i_gelu').reference(x, approximate='tanh'), expected)


def test_published_errors_of_poly_gelu():
    """RMS 0.0051, maximum 0.0093 on [-3, 3]: the paper's figures."""
    a, b = PUBLISHED
    x = np.linspace(-3, 3, 20001)
    u = x / math.sqrt(2)
    curve = np.sign(u) * (a * (np.minimum(np.abs(u), -b) + b) ** 4 + 1)
    error = 0.5 * x * (1 + curve) - 0.5 * x * (1 + erf(u))
    assert np.sqrt(np.mean(error**2)) == pytest.approx(0.0051, abs=5e-5)
    assert np.abs(error).max() == pytest.approx(0.0093, abs=5e-5)

    site, q = grid()
    function = build('poly_gelu', fit=False)
    out = function.integer(q, function.prepare(site)).double() * site.out.scale
    error = out - function.reference(q.double() * site.x.scale)
    assert float(error.square().mean().sqrt()) == pytest.approx(0.0051, abs=1e-4)
    assert float(error.abs().max()) == pytest.approx(0.0093, abs=2e-4)


def test_published_errors_of_i_gelu():
    """RMS 0.0082, maximum 0.018 on [-4, 4]: I-BERT, table 1."""
    site, q = grid(-4, 4)
    function = build('i_gelu')
    out = function.integer(q, function.prepare(site)).double() * site.out.scale
    error = out - function.reference(q.double() * site.x.scale)
    assert float(error.square().mean().sqrt()) == pytest.approx(0.0082, abs=1e-4)
    assert float(error.abs().max()) == pytest.approx(0.0182, abs=2e-4)


@pytest.mark.parametrize('amax', [4.0, 8.0, 16.0, 30.0])
def test_published_i_gelu_collapses_on_eight_bits(amax):
    x = QParams.symmetric(amax, 8)
    real = typical('gelu', 8, amax, size=512)
    literal = Case(build('i_gelu', literal=True), x, real)
    sound = Case(build('i_gelu'), x, real)
    assert sqnr(literal.reference, literal.actual) < 0
    assert sqnr(sound.reference, sound.actual) > 30


def test_published_shift_gelu_loses_a_token_with_one_large_channel():
    real = typical('gelu', 8, 3.0, size=256)
    real[:, 0] = 14.0
    x = QParams.symmetric(14.0, 8)
    literal = Case(build('shift_gelu', literal=True), x, real)
    sound = Case(build('shift_gelu'), x, real)
    others = (slice(None), slice(1, None))
    assert sqnr(literal.reference[others], literal.actual[others]) < 3
    assert sqnr(sound.reference[others], sound.actual[others]) > 20


def test_published_i_gelu_is_fine_on_fine_inputs():
    case = Case(
        build('i_gelu', literal=True),
        QParams.symmetric(4.0, 16),
        typical('gelu', 16, 4.0),
    )
    assert sqnr(case.reference, case.actual) > 30
