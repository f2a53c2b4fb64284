import math

import pytest
import torch
from function_cases import Case, NoOverflow, build, names_of, sqnr, typical
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.functions import FunctionSite
from iptq_mm.functions.softmax.table_softmax import exponentials, with_two_tables
from iptq_mm.intmath import QParams

# Largest error of a probability. Where the exponential's relative error lies in
# an interval of width w, p becomes p * (1 + d1) / (1 + d2): an error of at most
# p * (1 - p) * w <= w / 4, over the smallest 1 + d. Widths: i-exp 0.4 %, chord
# 6.2 %, tangent 7.2 % (nearest) and 37.5 % (floor); scores of 8 bits, 15 wide, add
# half a step to both sides, 5.9 %. log2(e) as 1.4375 adds
# 0.36 % of x * exp(-x) < 0.37; the table only rounds.
LIMITS = {
    'i_softmax': 0.0022,
    'shiftmax': 0.0175,
    'bit_softmax': 0.0215,
    'di_clipped_softmax': 0.034,
    'table_softmax': 2.0**-12,
}
ALL = names_of('softmax')

inputs = st.sampled_from([8, 16])
sizes = st.sampled_from([1, 2, 3, 49, 197])
PROBABILITY = QParams(1 / 65535, 0, 65535)


def rows(name, q, x, out=PROBABILITY, **options):
    function = build(name, **options)
    return function.integer(q, function.prepare(FunctionSite(x, out)))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(sorted(LIMITS)),
    inputs,
    inputs,
    st.floats(-10, 8),
    sizes,
    st.integers(0, 99),
)
def test_matches_the_reference(name, in_bits, out_bits, log2_amax, size, seed):
    amax = 2.0**log2_amax
    real = torch.randn(
        6, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    real = real / real.abs().max() * amax
    x = QParams.symmetric(amax, in_bits)
    case = Case(build(name), x, real, out_bits, affine=True)
    assert (case.error <= 0.51 * case.step + LIMITS[name]).all()
    # All probabilities of a row share one reciprocal: they sum up to 1, but for
    # half a step each and what saturates at the largest true probability.
    total = case.actual.sum(-1) - 1
    rounding = (0.5 * size + 1) * case.step + 1e-4
    assert (total <= rounding).all() and (total >= -rounding - LIMITS[name]).all()


@settings(deadline=None, max_examples=40)
@given(inputs, st.floats(-8, 6), sizes, st.integers(0, 99), st.booleans())
def test_powers_of_two(in_bits, log2_amax, size, seed, literal):
    """log_round moves p to a power of two within 3/4 and 3/2 of it."""
    least = 0.75
    if literal:  # floors of 1/S are near enough at these scales only
        least = 0.625  # 1/p is rounded to an integer first: 2.5 becomes 3, then 4
        in_bits, log2_amax = 16, min(max(log2_amax, 0.0), 3.0)
    amax = 2.0**log2_amax
    real = torch.randn(
        6, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    real = real / real.abs().max() * amax
    function = build('log_int_softmax', literal=literal)
    x, out = QParams.symmetric(amax, in_bits), QParams(2.0**-15, 0, 2**15)
    q = x.quantize(real)
    codes = function.integer(q, function.prepare(FunctionSite(x, out)))
    p = function.reference(q.double() * x.scale)
    assert ((codes & (codes - 1)) == 0).all()
    slack = 1.02  # of i-exp, the temperature and the rounded quotient
    actual = codes * out.scale
    kept = p > 2.0**-15 * 1.5 * slack
    assert (actual[kept] >= least / slack * p[kept]).all()
    assert (actual[kept] <= 1.5 * slack * p[kept]).all()
    assert (codes[p < 2.0**-16 / slack] == 0).all()


@pytest.mark.parametrize('name', ALL)
def test_edge_rows(name):
    x = QParams(0.1, -127, 127)
    flat = rows(name, torch.full((2, 16), -127), x)
    assert ((flat * PROBABILITY.scale - 1 / 16).abs() < 1e-4).all()
    hot = torch.full((1, 16), -127)
    hot[0, 5] = 127  # exp(-25.4) is below a step
    expected = [0] * 5 + [65535] + [0] * 10
    assert rows(name, hot, x).tolist() == [expected]
    assert rows(name, torch.tensor([[3], [-127]]), x).tolist() == [[65535], [65535]]


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('amax', [0.01, 3.0, 40.0])
def test_masked_entries_are_zero(name, bits, amax):
    """Swin adds -100, here round(-100/S): wider than 16 bits."""
    logits = QParams.symmetric(amax, bits)
    mask = round(-100 / logits.scale)
    x = QParams(logits.scale, logits.qmin + mask, logits.qmax)
    q = logits.quantize(typical('softmax', bits, amax, size=49)).long()
    masked = torch.zeros_like(q, dtype=torch.bool)
    masked[:, ::3] = True
    masked[0], masked[1] = True, False
    function = build(name)
    constants = function.prepare(FunctionSite(x, PROBABILITY))
    out = function.integer(q + masked * mask, constants)
    assert (out[2:][masked[2:]] == 0).all()
    # A row that is masked altogether is a row that is not.
    assert torch.equal(out[0], function.integer(q[:1], constants)[0])
    kept = function.integer(q[2:][:, ~masked[2]], constants)
    assert torch.equal(out[2:][:, ~masked[2]], kept)


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('scale', [1e-9, 1e-6, 1e-3, 1.0])
def test_widest_range_and_longest_row(name, scale):
    x = QParams(scale, -(2**31) + 1, 1)
    q = torch.full((2, 65536), x.qmin, dtype=torch.int64)
    q[0, ::2] = 1
    out = QParams(2.0**-16 / 200, 0, 65535)
    function = build(name)
    constants = function.prepare(FunctionSite(x, out))
    with NoOverflow():
        actual = function.integer(q, constants) * out.scale
    expected = function.reference(q.double() * scale)
    error = (actual - expected).abs()
    if name == 'log_int_softmax':  # its smallest code is 2**-15
        error, expected = error[:, :0], expected[:, :0]
    # 7 % of the exponentials, and the output's half step.
    assert (error <= 0.1 * expected + 2.0**-22).all()


def test_full_precision_up_to_the_output():
    """A calibrated scale is finer than 1/65535: nothing is rounded before."""
    x = QParams.symmetric(3.0, 16)
    case = Case(build('table_softmax'), x, typical('softmax', 16, 3.0, size=197), 16)
    best = case.out_params.quantize(case.reference).double() * case.step
    assert sqnr(case.reference, case.actual) > sqnr(case.reference, best) - 1


def test_table_is_one_look_up_for_eight_bits():
    function = build('table_softmax')
    eight = function.prepare(FunctionSite(QParams(0.05, -127, 127), PROBABILITY))
    sixteen = function.prepare(FunctionSite(QParams(1e-3, -32767, 32767), PROBABILITY))
    assert 'fine' not in eight and eight['table'].shape == (256,)
    assert 'table' not in sixteen
    assert sixteen['fine'].shape == sixteen['medium'].shape == (32,)
    assert sixteen['mantissa'].shape == sixteen['exponent'].shape == (64,)


@settings(deadline=None, max_examples=60)
@given(st.floats(-12, 4), st.integers(256, 2**31))
def test_three_tables(log2_scale, span):
    scale = 2.0**log2_scale
    function = build('table_softmax')
    constants = function.prepare(FunctionSite(QParams(scale, -span, 0), PROBABILITY))
    if 'table' in constants:
        assert math.exp(-255 * scale) < 2.0**-30
        return
    clamp, down = constants['clamp'], constants['down']
    most = min(-(-clamp >> down), 2**16 - 1)
    d = torch.unique(torch.linspace(0, most, 5000).long())
    step = scale * 2.0**down
    e = exponentials(d.int(), constants).double() / 2**31
    exact = torch.exp(-step * d)
    # Three roundings of fine, medium and their product, one of the mantissa, relative
    # to the block's own exponential; the last digit; what counts as 0.
    block = torch.exp(-step * (d >> 10 << 10))
    assert ((e - exact).abs() <= 4 * 2.0**-16 * block + 2.0**-31 + 2.0**-20).all()
    kept = exact > 2.0**-19
    assert ((e - exact).abs() <= 4 * 2.0**-16 * block + 2.0**-31)[kept].all()
    # A mask, or what else lies beyond the tables, is 0.
    assert e[-1] == 0 or clamp == span
    two = with_two_tables(constants)
    assert torch.equal(
        exponentials(d.int(), two).long(), exponentials(d.int(), constants)
    )


def test_nearest_split_beats_the_floor():
    x = QParams.symmetric(8.0, 8)
    real = typical('softmax', 8, 8.0, size=197)
    near = Case(build('bit_softmax'), x, real, affine=True)
    floor = Case(build('bit_softmax', split='floor'), x, real, affine=True)
    assert sqnr(near.reference, near.actual) > 6 + sqnr(floor.reference, floor.actual)


@pytest.mark.parametrize('name', ['i_softmax', 'shiftmax', 'bit_softmax'])
def test_sound_forms_beat_the_published_ones_on_coarse_inputs(name):
    x = QParams.symmetric(24.0, 8)
    real = typical('softmax', 8, 24.0, size=197)
    sound = Case(build(name), x, real, affine=True)
    literal = Case(build(name, literal=True), x, real, affine=True)
    gained = sqnr(sound.reference, sound.actual) - sqnr(
        literal.reference, literal.actual
    )
    assert gained > 5


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('bit_softmax', dict(split='up')),
        ('bit_softmax', dict(split='nearest', literal=True)),
        ('log_int_softmax', dict(bits=5)),
    ],
)
def test_wrong_options(name, options):
    with pytest.raises(ValueError):
        build(name, **options)


def test_too_large_an_exponent():
    with pytest.raises(ValueError, match='base-2 exponent, n, is from 1 to 31'):
        rows('i_softmax', torch.zeros(1, 2), QParams(0.1, -127, 127), n=32)


def test_too_fine_an_output():
    with pytest.raises(OverflowError, match='output scale'):
        rows('i_softmax', None, QParams(0.1, -127, 127), QParams(1e-12, 0, 255))


@pytest.mark.parametrize('scale', [1e-4, 0.02, 0.3, 40.0])
def test_clipped_scores_are_alike_and_hidden_ones_are_none(scale):
    """Between 15 and 32 below the largest, all have one probability; from 32 on 0."""
    below = [0.0, 15.5, 20.0, 31.0, 33.0, 1e4]
    steps = [round(d / scale) for d in below]
    x = QParams(scale, -(2**30), 2**30)
    p = rows(
        'di_clipped_softmax', -torch.tensor([steps]), x, QParams(2.0**-26, 0, 2**26)
    )
    found = p[0].tolist()
    assert found[4:] == [0, 0]
    if scale < 1:  # else the steps between them are too coarse
        assert found[1] == found[2] == found[3] > 0
    assert abs(sum(found) * 2.0**-26 - 1) < 1e-3


@pytest.mark.parametrize('options', [dict(clip=0.0), dict(clip=40.0), dict(bits=2)])
def test_options_of_the_clipped_softmax(options):
    with pytest.raises(ValueError, match='clip is|bits are'):
        build('di_clipped_softmax', **options)
