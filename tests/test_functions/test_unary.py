"""Elementwise functions by tables: next to the float function, at every input."""

import pytest
import torch
from function_cases import Case, build, names_of, quantizer
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.functions import CURVES, FunctionSite
from iptq_mm.functions.curves import STEEP
from iptq_mm.intmath import QParams

#: Parameters of a curve, and the lowest input where it is defined.
GIVEN = {
    'clamp': (dict(min=-0.7, max=1.3), None),
    'hardtanh': (dict(min_val=-2.0, max_val=3.0), None),
    'leaky_relu': (dict(negative_slope=0.1), None),
    'log': (dict(smallest=1e-3), None),
    'pow': (dict(exponent=1.5), 0.0),
    'reciprocal': (dict(offset=0.01), 0.0),
    'rsqrt': (dict(offset=1e-3), None),
    'sqrt': (dict(offset=1e-6), None),
}
names = st.sampled_from(sorted(CURVES))
#: The others serve a single curve.
TABLES = ['interpolated_unary', 'table_unary']
functions = st.sampled_from(TABLES)
bits = st.sampled_from([4, 8, 11, 16])


def made(function, name, x, out_bits=16, parameters=None):
    """Site, all inputs, their real results and those of the integers."""
    q = torch.arange(x.qmin, x.qmax + 1)
    attributes = dict(name=name, **(parameters or GIVEN.get(name, ({}, None))[0]))
    real = function.reference(q.double() * x.scale, **attributes)
    out = quantizer(real, out_bits)
    site = FunctionSite(x, out, attributes=attributes)
    return real / out.scale, function.integer(q, function.prepare(site))


@settings(deadline=None, max_examples=150)
@given(functions, names, bits, bits, st.floats(-7, 4), st.sampled_from([0, 0.3, 1]))
def test_within_three_quarters_of_a_step(kind, name, bits, out_bits, log2_amax, below):
    kind = 'interpolated_unary' if name in STEEP else kind
    function, amax = build(kind), 2.0**log2_amax
    low = GIVEN.get(name, ({}, None))[1]
    low = -amax * below if low is None else low
    x = QParams.asymmetric(low, amax, min(bits, function.max_input_bits))
    expected, integers = made(function, name, x, out_bits)
    most = 0.5 if kind == 'table_unary' else 0.5 + 0.25
    # Slopes and intercepts are rounded, too.
    assert float((integers - expected).abs().max()) < most + 0.04


def test_every_kind_of_table_is_covered():
    assert set(names_of('unary')) == {*TABLES, 'di_swiglu'}


@pytest.mark.parametrize('amax', [8.0, 100.0, 3000.0])
def test_outliers_cost_no_precision(amax):
    """Where a function bends, segments are as short as they have to be."""
    x = QParams.symmetric(amax, 16)
    expected, integers = made(build('interpolated_unary'), 'sigmoid', x)
    assert float((integers - expected).abs().max()) < 0.79
    q = torch.arange(x.qmin, x.qmax + 1)
    out = QParams.symmetric(1.0, 16)
    site = FunctionSite(x, out, attributes={'name': 'sigmoid'})
    constants = build('interpolated_unary').prepare(site)
    assert 256 <= len(constants['slope']) < 1200 < len(q)


def test_eight_bits_are_a_table():
    x, out = QParams(0.05, -100, 155), QParams(0.02, -128, 127)
    site = FunctionSite(x, out, attributes={'name': 'mish'})
    q = torch.arange(-100, 156)
    one, other = (f.integer(q, f.prepare(site)) for f in map(build, TABLES))
    assert torch.equal(one, other)


def test_undefined_inputs_are_refused(monkeypatch):
    monkeypatch.setitem(CURVES, 'acos', torch.acos)
    x = QParams(0.1, -100, 100)
    site = FunctionSite(x, x, attributes={'name': 'acos'})
    with pytest.raises(
        ValueError, match='acos is undefined at some of the inputs from'
    ):
        build('interpolated_unary').prepare(site)


@pytest.mark.parametrize('name', sorted(STEEP))
def test_what_8_bits_are_too_few_for(name):
    x = QParams(0.1, 0, 255)
    site = FunctionSite(x, x, attributes={'name': name})
    with pytest.raises(ValueError, match=f'too coarse for {name}'):
        build('table_unary').prepare(site)


def test_poles_saturate():
    """1/x at 0 is as large as the table goes, and no error."""
    x, out = QParams(0.1, 0, 255), QParams(0.1, -127, 127)
    function = build('interpolated_unary')
    site = FunctionSite(x, out, attributes={'name': 'reciprocal'})
    found = function.integer(torch.tensor([0, 1, 10]), function.prepare(site))
    assert found.tolist() == [2**20, 100, 10]


@pytest.mark.parametrize('added', [20.0, 100.0])
def test_more_bits_are_rounded_to_17(added):
    """Of a value of 16 bits to which a number was added."""
    scale = 1e-4
    steps = round(added / scale)
    x = QParams(scale, -32767, 32767 + steps)
    assert x.bits > 17
    q = torch.arange(steps - 32767, steps + 32768)
    function, name = build('interpolated_unary'), 'hardsigmoid'
    site = FunctionSite(x, QParams(1 / 32767, 0, 32767), attributes={'name': name})
    made = function.integer(q, function.prepare(site)) / 32767
    error = (made - function.reference(q * scale, name)).abs().max()
    assert float(error) < 2 / 32767 + scale * 2 ** (x.bits - 17) / 2


def test_silu_without_a_name():
    case = Case(build('interpolated_unary'), QParams.symmetric(4.0, 16), torch.randn(9))
    assert torch.equal(case.reference, torch.nn.functional.silu(case.real))


@settings(deadline=None, max_examples=80)
@given(st.floats(-10, 6), bits, bits)
def test_di_swiglu_is_near_silu(log2_amax, in_bits, out_bits):
    """At every input of any range.

    The chord errs by 6.2 % and log2(e) by 0.4 % of the exponent; of ``x * sigmoid(x)``
    that is ``|x| * s * (1 - s)`` times as much, which is 0.0155 at most.
    """
    x = QParams.symmetric(2.0**log2_amax, in_bits)
    q = torch.arange(x.qmin, x.qmax + 1)
    real = torch.nn.functional.silu(q.double() * x.scale)
    out = QParams.asymmetric(float(real.min()), float(real.max()), out_bits)
    function = build('di_swiglu')
    site = FunctionSite(x, out, attributes={'name': 'silu'})
    found = function.integer(q, function.prepare(site)) * out.scale
    limit = 0.0155 + 0.51 * out.scale + x.bound * x.scale * 2.0**-15
    assert float((found - real).abs().max()) <= limit


@pytest.mark.parametrize('name', [n for n in CURVES if n != 'silu'])
def test_di_swiglu_refuses_other_functions(name):
    x = QParams(0.1, -127, 127)
    site = FunctionSite(x, x, attributes={'name': name})
    with pytest.raises(ValueError, match=f'is a SiLU, not {name}: name interpolated'):
        build('di_swiglu').prepare(site)
