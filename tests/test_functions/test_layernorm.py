import pytest
import torch
from function_cases import Case, build, names_of, sqnr, typical
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams

ALL = names_of('layer_norm')
# Relative error of gamma * normalized: of the root, reciprocal and 31-bit
# multipliers. FQ-ViT's mantissa is 128 to 255: half a unit is 2**-8 at most.
RELATIVE = {
    'ibert_layernorm': 5e-4,
    'ivit_layernorm': 5e-4,
    'fqvit_layernorm': 2.0**-8 + 5e-4,
}

bits = st.sampled_from([8, 16])


def parameters(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    gamma = torch.randn(size, generator=generator, dtype=torch.float64)
    beta = torch.randn(size, generator=generator, dtype=torch.float64)
    gamma[0] = 0
    return gamma, beta


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(ALL),
    bits,
    bits,
    st.floats(-6, 12),
    st.sampled_from([5, 96, 192, 768]),
    st.integers(0, 99),
)
def test_matches_the_reference(name, in_bits, out_bits, log2_amax, size, seed):
    amax = 2.0**log2_amax
    gamma, beta = parameters(size, seed)
    x = QParams.symmetric(amax, in_bits)
    real = typical('layer_norm', in_bits, amax, seed, size)
    case = Case(build(name), x, real, out_bits, gamma=gamma, beta=beta)
    scaled = (case.reference - beta).abs()
    tolerance = 0.51 * case.step + RELATIVE[name] * scaled
    # A mean is off by half a step of 22 bits at most (I-BERT's input, and the
    # fraction that FQ-ViT's products leave).
    std = (case.real.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    mean_step = x.scale * 2.0 ** (in_bits - 22)
    tolerance = tolerance + gamma.abs() * mean_step / std
    assert (case.error <= tolerance).all()


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('in_bits', [8, 16])
@pytest.mark.parametrize('scale', [1e-14, 1e-6, 1e-2, 1e3])
def test_zero_variance_gives_beta(name, in_bits, scale):
    function = build(name)
    gamma, beta = parameters(64)
    bound = 2 ** (in_bits - 1) - 1
    x, out = QParams(scale, -bound, bound), QParams(4 / 32767, -32767, 32767)
    constants = function.prepare(FunctionSite(x, out, gamma=gamma, beta=beta))
    for value in (0, 1, 37, bound, -bound):
        q = torch.full((2, 64), value)
        expected = torch.round(beta / out.scale).long()
        actual = function.integer(q, constants)
        assert ((actual - expected).abs() <= 1).all()
        assert ((actual * out.scale - beta).abs() <= 0.501 * out.scale).all()


@pytest.mark.parametrize('name', ALL)
def test_gamma_zero_gives_beta_whatever_the_input(name):
    gamma, beta = parameters(48)
    gamma[::2] = 0
    x = QParams.symmetric(6.0, 16)
    case = Case(build(name), x, typical('layer_norm', 16, 6.0, size=48), 16)
    site = FunctionSite(x, case.out_params, gamma=gamma, beta=beta)
    out = case.function.integer(case.q, case.function.prepare(site))
    expected = beta[::2] / case.step
    assert ((out[:, ::2] - expected).abs() <= 0.501).all()
    zeros = FunctionSite(x, case.out_params, gamma=0 * gamma, beta=0 * beta)
    out = case.function.integer(case.q, case.function.prepare(zeros))
    assert (out == 0).all()


@pytest.mark.parametrize('name', ALL)
def test_tiny_and_huge_gamma_together(name):
    gamma, beta = torch.ones(32).double(), torch.zeros(32).double()
    gamma[1], gamma[2], gamma[3] = 1e-12, -1e-6, 100.0
    x = QParams.symmetric(6.0, 16)
    real = typical('layer_norm', 16, 6.0, size=32)
    case = Case(build(name), x, real, 16, gamma=gamma, beta=beta)
    tolerance = 0.51 * case.step + (RELATIVE[name] + 1e-5) * case.reference.abs()
    # Where x is the mean nearly, the mean's rounding shows.
    assert (case.error <= tolerance + gamma.abs() * 1e-4).all()


@pytest.mark.parametrize('name', ALL)
def test_dead_channels(name):
    """Channels that are constantly 0, as behind a pruned layer."""
    gamma, beta = parameters(96)
    real = typical('layer_norm', 16, 9.0, size=96)
    real[:, 10:40] = 0
    case = Case(build(name), QParams.symmetric(9.0, 16), real, gamma=gamma, beta=beta)
    assert sqnr(case.reference, case.actual) > 50


@pytest.mark.parametrize('name', ALL)
def test_epsilon_counts(name):
    """Rows whose variance is below epsilon."""
    gamma, beta = torch.ones(64), torch.zeros(64)
    x = QParams.symmetric(4e-3, 16)
    real = typical('layer_norm', 16, 4e-3)
    case = Case(build(name), x, real, gamma=gamma, beta=beta)
    assert sqnr(case.reference, case.actual) > 50
    # What it would be without epsilon is far from it.
    centred = case.real - case.real.mean(-1, keepdim=True)
    without = centred / centred.square().mean(-1, keepdim=True).sqrt()
    assert sqnr(without, case.actual) < 20


@pytest.mark.parametrize('name', ['ibert_layernorm', 'ivit_layernorm'])
@pytest.mark.parametrize('in_bits', [8, 16])
@pytest.mark.parametrize('out_bits', [8, 16])
def test_as_good_as_the_output_quantizer_permits(name, in_bits, out_bits):
    gamma, beta = parameters(192)
    real = typical('layer_norm', in_bits, 20.0, size=192)
    x = QParams.symmetric(20.0, in_bits)
    case = Case(build(name), x, real, out_bits, gamma=gamma, beta=beta)
    best = case.out_params.quantize(case.reference).double() * case.step
    assert sqnr(case.reference, case.actual) > sqnr(case.reference, best) - 0.5


@pytest.mark.parametrize('name', ['ivit_layernorm', 'fqvit_layernorm'])
def test_outlier_row_of_many_channels(name):
    """One channel takes all the variance: the normalized value is sqrt(C)."""
    real = torch.zeros(2, 3072, dtype=torch.float64)
    real[0, 7], real[1, :] = 50.0, 0.01
    real[1, 9] = -50.0
    case = Case(build(name), QParams.symmetric(50.0, 16), real)
    assert sqnr(case.reference, case.actual) > 50


@pytest.mark.parametrize('name', ['ibert_layernorm', 'ivit_layernorm'])
def test_published_forms_are_worse_on_eight_bits(name):
    """10 Newton steps from 2**16, or a mean in steps of the input."""
    gamma, beta = torch.ones(192), torch.zeros(192)
    real = typical('layer_norm', 8, 20.0, size=192)
    x = QParams.symmetric(20.0, 8)
    literal = Case(build(name, literal=True), x, real, gamma=gamma, beta=beta)
    sound = Case(build(name), x, real, gamma=gamma, beta=beta)
    gained = sqnr(sound.reference, sound.actual) - sqnr(
        literal.reference, literal.actual
    )
    assert gained > 20


@pytest.mark.parametrize('name', ALL)
def test_published_forms_serve_fine_inputs(name):
    gamma, beta = torch.ones(192), torch.linspace(-1, 1, 192)
    real = typical('layer_norm', 16, 20.0, size=192)
    x = QParams.symmetric(20.0, 16)
    case = Case(build(name, literal=True), x, real, 8, gamma=gamma, beta=beta)
    assert sqnr(case.reference, case.actual) > 25


@pytest.mark.parametrize('name', ALL)
def test_published_forms_survive_what_they_cannot_serve(name):
    function = build(name, literal=True)
    gamma, beta = parameters(16)
    site = FunctionSite(
        QParams(0.1, -127, 127), QParams(0.01, -127, 127), gamma=gamma, beta=beta
    )
    out = function.integer(torch.full((3, 16), 5), function.prepare(site))
    assert out.shape == (3, 16)


def test_gamma_is_required():
    site = FunctionSite(QParams(0.1, -127, 127), QParams(0.1, -127, 127))
    for name in ALL:
        with pytest.raises(ValueError, match='gamma'):
            build(name).prepare(site)


def test_beta_is_not():
    gamma = torch.ones(8).double()
    for name in ALL:
        function = build(name)
        site = FunctionSite(
            QParams(0.1, -127, 127), QParams(0.1, -127, 127), gamma=gamma
        )
        out = function.integer(torch.zeros(1, 8).long(), function.prepare(site))
        assert (out == 0).all()


def test_too_many_channels():
    gamma = torch.ones(2**15).double()
    site = FunctionSite(
        QParams(0.1, -32767, 32767), QParams(0.1, -127, 127), gamma=gamma
    )
    for name in ALL:
        with pytest.raises(ValueError, match='channels'):
            build(name).prepare(site)
