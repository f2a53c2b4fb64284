"""ReLU in all of torch's spellings."""

import pytest
import torch
from region_models import Custom, attempt, calibrated, quantized, rows
from torch import nn
from torch.nn import functional as F

from iptq_mm.qtensor import UnsupportedOperationError

SPELLINGS = {
    'F.relu': lambda x: F.relu(x),
    'F.relu in place': lambda x: F.relu(x, inplace=True),
    'F.relu_': lambda x: F.relu_(x),
    'torch.relu': lambda x: torch.relu(x),
    'torch.relu_': lambda x: torch.relu_(x),
    'relu': lambda x: x.relu(),
    'relu_': lambda x: x.relu_(),
    'module': nn.ReLU(inplace=True),
    'clamp': lambda x: x.clamp(min=0),
    'torch.clamp': lambda x: torch.clamp(x, 0),
    'clamp_': lambda x: x.clamp_(min=0.0),
    'twice': lambda x: F.relu(F.relu(x)),
    'scaled': lambda x: F.relu(x * 3.0),
    'negative': lambda x: F.relu(-0.3 * x),
    'shifted': lambda x: F.relu(x - 0.5),
    'view': lambda x: F.relu(x.flatten(1)[:, 1:]),
}


@pytest.mark.parametrize('name', SPELLINGS)
def test_spellings(name):
    assert attempt(lambda m, x: SPELLINGS[name](m.last(x))) > 30
    # As the input of another layer, in 8 bits.
    body = lambda m, x: m.last(SPELLINGS[name](m.inner(x)).flatten(1)[:, :16])  # noqa: E731
    assert attempt(body, inner=nn.Linear(16, 16)) > 25


def test_in_place_is_in_place():
    def body(m, x):
        y = m.last(x)
        F.relu(y, inplace=True)
        return y

    with torch.no_grad():
        net = quantized(Custom(body), [rows()])
        assert net(rows()).min() == 0


def test_views_of_what_was_changed_are_refused():
    def body(m, x):
        y = m.last(x)
        view = y[:, :2]
        y.relu_()
        return view + 1

    with pytest.raises(UnsupportedOperationError, match='in-place'):
        attempt(body)


def test_clamp_to_a_tensor_has_no_rule():
    with pytest.raises(UnsupportedOperationError, match='clamp to tensors'):
        attempt(lambda m, x: m.last(x).clamp(min=x * 0))


def test_of_parameters_it_is_folded():
    body = lambda m, x: m.last(x) + F.relu(m.p)  # noqa: E731
    with torch.no_grad():
        _, plan, _ = calibrated(Custom(body), [rows()])
    assert not any('relu' in site for site in plan.sites)
    assert attempt(body) > 30
