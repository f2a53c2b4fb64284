"""Multiplying by a number, adding a constant: nothing is requantized."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from region_models import Custom, attempt, bound, calibrated, quantized, rows, sqnr
from torch import nn

from iptq_mm.intmath import QParams
from iptq_mm.modes import Fake
from iptq_mm.modes.base import operand_qparams
from iptq_mm.plan import RegionPlan, SitePlan
from iptq_mm.qtensor import QTensor, UnsupportedOperationError

numbers = st.floats(-1e3, 1e3).filter(lambda x: abs(x) > 1e-6)
qparams = st.builds(
    QParams,
    st.floats(1e-6, 1e2),
    st.sampled_from([-128, -127, -32767, 0]),
    st.sampled_from([127, 255, 32767]),
)


def tensor(q: QParams) -> QTensor:
    values = torch.tensor([q.qmin, 0, q.qmin // 2, q.qmax // 3, q.qmax])
    return QTensor(values.to(torch.int32), q, 'made')


@settings(deadline=None)
@given(qparams, numbers)
def test_scaled(q, factor):
    x = tensor(q)
    y = x.scaled(factor)
    torch.testing.assert_close(
        y.payload.double() * y.qparams.scale,
        x.payload.double() * q.scale * factor,
        rtol=1e-12,
        atol=0,
    )
    assert y.qparams.qmin <= y.payload.min() and y.payload.max() <= y.qparams.qmax
    assert (y.factor, y.source) == (factor, 'made')


def test_scaled_by_zero_and_worse():
    x = tensor(QParams(0.1, -128, 127))
    zero = x.scaled(0.0)
    assert not zero.payload.any() and zero.qparams == x.qparams
    for factor in (float('nan'), float('inf'), -float('inf')):
        with pytest.raises(UnsupportedOperationError, match='multiplied by'):
            x.scaled(factor)


@settings(deadline=None)
@given(qparams, st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=5))
def test_shifted(q, constants):
    constant = torch.tensor(constants, dtype=torch.float64)
    if float(constant.abs().max()) > 2**30 * q.scale:
        return
    x = tensor(q)
    y = x.add_constant(constant)
    real = x.payload.double() * q.scale + constant
    error = (y.payload.double() * q.scale - real).abs().max()
    assert error <= q.scale * (0.5 + 1e-6)  # one rounding, and no saturation
    assert y.qparams.scale == q.scale
    assert y.qparams.qmin <= y.payload.min() and y.payload.max() <= y.qparams.qmax
    assert torch.iinfo(y.payload.dtype).min <= y.qparams.qmin


@pytest.mark.parametrize('low', [-torch.inf, -1e30, torch.finfo().min])
@pytest.mark.parametrize('times', [1, 2, 5])
def test_infinite_masks(low, times):
    q = QParams(1e-4, -32767, 32767)
    x = tensor(q)
    mask = torch.tensor([0.0, low, 0.0, low, 0.0])
    y = x
    for _ in range(times):
        y = y.add_constant(mask)
    hidden = mask < 0
    assert torch.equal(y.payload[~hidden].long(), x.payload[~hidden].long())
    assert (y.payload[hidden].double() * q.scale < -1e4).all()
    assert y.qparams.qmax - y.qparams.qmin < 2**31
    # Float modes, where quantizers are known, stay finite as well.
    real = QTensor(x.real_values(), q, 'made').add_constant(mask)
    assert real.payload.isfinite().all() and (real.payload[hidden] < -1e4).all()


def test_a_mask_that_the_scale_cannot_express():
    """All scores were 0 in calibration: no step of theirs reaches -100."""
    x = tensor(QParams(1e-16, -32767, 32767))
    with pytest.raises(UnsupportedOperationError, match='adding a constant of -100'):
        x.add_constant(torch.tensor([0.0, -100.0, 0.0, 0.0, 0.0]))
    with pytest.raises(UnsupportedOperationError, match='nan'):
        tensor(QParams(1.0, -128, 127)).add_constant(torch.full((5,), torch.nan))


def test_shifted_broadcasts_to_the_larger_shape():
    x = QTensor(torch.ones(2, 1, dtype=torch.int8), QParams(1.0, -128, 127), 'made')
    assert x.add_constant(torch.arange(3.0)).payload.shape == (2, 3)
    assert x.add_constant(torch.zeros(0)).payload.shape == (2, 0)


@settings(deadline=None)
@given(
    qparams,
    st.sampled_from([(-127, 127), (-30, 225), (-128, 127)]),
    numbers,
    st.floats(-20, 20),
)
@example(QParams(1.0, -127, 127), (-30, 225), -1.0, 0.0)
def test_operand_qparams(made, codes, factor, constant):
    """A requantized operand covers what the wanted quantizer covered, moved."""
    wanted = QParams(made.bound * made.scale / 127, *codes)
    plan = RegionPlan('Test', sites={'made': SitePlan('add', made)})
    x = tensor(made).scaled(factor)
    steps = round(constant * 10)
    shift = steps * x.qparams.scale
    x = x.add_constant(torch.full((5,), shift, dtype=torch.float64))
    here = operand_qparams(x, wanted, plan)
    ends = [wanted.qmin * wanted.scale * factor, wanted.qmax * wanted.scale * factor]
    low, high = min(ends), max(ends)
    slack = here.scale
    assert here.bits == wanted.bits
    assert here.qmin * here.scale <= min(low, low + shift) + slack
    assert here.qmax * here.scale >= max(high, high + shift) - slack
    assert here.scale * (here.qmax - here.qmin) <= 2.1 * (high - low + abs(shift))
    if x.qparams == made and codes != (-128, 127):
        mirrored = QParams(wanted.scale, -wanted.qmax, -wanted.qmin)
        assert here == (wanted if x.factor > 0 else mirrored)
    elif x.qparams == made and x.factor > 0:
        assert here == wanted


BETWEEN = {
    'larger': lambda x: x * 30.0,
    'smaller': lambda x: x * 0.003,
    'negative': lambda x: x * -30.0,
    'shifted': lambda x: x + 20.0,
    'shifted by channel': lambda x: x + torch.linspace(-9, 30, 16),
    'both': lambda x: (x * 5.0 - 7.0) * -3.0 + 1.0,
    'divided': lambda x: x / 100,
}


@pytest.mark.parametrize('name', BETWEEN)
@pytest.mark.parametrize('into', ['linear', 'gelu', 'matmul'])
def test_between_a_wide_value_and_a_site_that_wants_8_bits(name, into):
    """The residual stream, say, is scaled before a linear layer takes it."""

    def body(self, x):
        y = BETWEEN[name](x)
        if into == 'gelu' and name in ('larger', 'shifted', 'negative', 'both'):
            y = y * 0.05
        used = {
            'linear': self.last,
            'gelu': nn.functional.gelu,
            'matmul': lambda y: y @ (x * 0.1).transpose(-2, -1),
        }[into](y)
        return used, self.norm(x)

    assert attempt(body) > 20
    module, x = Custom(body), rows()
    with torch.no_grad():
        net, plan, _ = calibrated(module, [x])
        with bound(net.backbone, Fake(plan)):
            assert sqnr(module(x), net(x)) > 20


def test_broadcasting_factor_of_one_element():
    module = Custom(lambda self, x: self.last(x) * torch.full((1, 1, 1, 1), 2.0))
    net = quantized(module, [rows()])
    with torch.no_grad():
        assert net(rows()).shape == module(rows()).shape == (1, 4, 5, 16)


def test_an_embedding_that_is_no_parameter():
    """A sum like any other: its range is calibrated, LayerNorm gets its 16 bits."""
    table = torch.linspace(-3, 3, 80).view(1, 5, 16)
    assert attempt(lambda self, x: self.last(self.norm(x + table))) > 22
    module = Custom(lambda self, x: x + table)
    with torch.no_grad():
        plan = calibrated(module, [rows()])[1]
    assert '/add:0' in plan.sites


@pytest.mark.parametrize('value', [0.0, -100.0, -torch.inf, 40.0])
def test_a_mask_is_no_site(value):
    """Nor is one that hides nothing: images need not agree on that."""
    module = Custom(lambda self, x: (x + torch.tensor([0.0, value] * 8)).softmax(-1))
    with torch.no_grad():
        plan = calibrated(module, [rows()])[1]
    assert list(plan.sites)[-2:] == ['norm/layer_norm:0', '/softmax:0']
