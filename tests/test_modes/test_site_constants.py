"""Constants of sites: computed once, shared with tracing, dropped when void."""

import pytest
import torch
from region_models import Custom, integer_mode, quantized, rows, same

from iptq_mm.functions.base import IntegerFunction
from iptq_mm.modes import Integer
from iptq_mm.operations import Operation
from iptq_mm.program import trace

pytestmark = pytest.mark.usefixtures('no_grad')


@pytest.fixture
def prepared(monkeypatch):
    """The kinds of operations whose constants were computed, in order."""
    kinds: list[str] = []
    for kind in (Operation, *_subclasses(Operation)):
        if 'prepare' in vars(kind):
            monkeypatch.setattr(kind, 'prepare', _noting(kind.prepare, kinds))
    return kinds


def _subclasses(kind):
    for sub in kind.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def _noting(prepare, kinds):
    def noted(self, inputs):
        kinds.append(self.kind)
        return prepare(self, inputs)

    return noted


def make():
    body = Custom(lambda m, x: m.last(torch.nn.functional.gelu(m.last(x))))
    return quantized(body, [rows(seed=s) for s in range(2)])


def test_computed_once(prepared):
    net = make()
    prepared.clear()
    first = net(rows())
    assert len(prepared) == len(integer_mode(net).plan.sites) > 3
    assert same(net(rows()), first)
    assert len(prepared) == len(integer_mode(net).plan.sites)


@pytest.mark.parametrize('traced_first', [True, False])
def test_shared_by_integer_mode_and_tracing(prepared, traced_first):
    net = make()
    net.backbone.iptq_region.mode = Integer(integer_mode(net).plan)
    prepared.clear()
    steps = [lambda: trace(net.backbone, (rows(),)), lambda: net(rows())]
    for step in steps if traced_first else reversed(steps):
        step()
    assert len(prepared) == len(integer_mode(net).plan.sites)


def test_dropped_with_the_integers_of_a_parameter(prepared):
    net = make()
    net(rows())
    prepared.clear()
    net.backbone.last.weight.neg_()
    net(rows())
    assert len(prepared) == len(integer_mode(net).plan.sites)


def test_dropped_by_site(prepared):
    net = make()
    net(rows())
    mode = integer_mode(net)
    (gelu,) = (site for site in mode.plan.sites if 'gelu' in site)
    function = mode.constants.function(gelu, mode.plan.sites[gelu])
    assert isinstance(function, IntegerFunction)
    prepared.clear()
    mode.constants.drop({gelu})
    net(rows())
    assert prepared == ['gelu']
    assert mode.constants.function(gelu, mode.plan.sites[gelu]) is not function
