"""What cannot follow the integers is refused before calibration, or forgotten."""

import pytest
import torch
from derived_models import (
    CACHING,
    DERIVING,
    CachedByDevice,
    CachedWithFlag,
    Derives,
)
from region_models import Net, config, rows, same, sqnr
from torch import nn

from iptq_mm.calibration import ConfigError, check_derived, forget_caches
from iptq_mm.engine.quantize.model import quantize_model


@pytest.mark.parametrize('kind', [Derives, *DERIVING, *CACHING])
def test_what_can_follow_passes(kind):
    module = kind()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    module.train()
    check_derived('backbone', module)
    module(rows())
    module.eval()
    check_derived('backbone', module)
    module.train()
    check_derived('backbone', module)
    assert all(m.training for m in module.modules())
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


class InList(Derives):
    def prepare(self):
        self.all = {'tables': [self.table]}


class View(Derives):
    def prepare(self):
        self.rows = self.table[1:3]


class InBuffer(Derives):
    def prepare(self):
        self.part = nn.Module()
        self.part.register_buffer('rows', self.table.detach()[0], persistent=False)


@pytest.mark.parametrize(
    ('kind', 'name'), [(InList, 'all'), (View, 'rows'), (InBuffer, 'rows')]
)
def test_parameters_kept_elsewhere(kind, name):
    where = 'part' if kind is InBuffer else '.itself.'
    message = f"attribute '{name}' of module '{where}' keeps the parameter 'table'"
    with pytest.raises(ConfigError, match=message):
        check_derived('backbone', kind())


def test_parameters_that_eval_replaces():
    class Fuses(Derives):
        def train(self, mode=True):
            super().train(mode)
            if not mode and hasattr(self, 'last'):
                self.fused = nn.Parameter(self.table.detach() * 2)
                del self.table
            return self

    module = Fuses.__new__(Fuses)
    message = "'backbone' makes the parameter 'fused' anew in eval.*deploy=True"
    nn.Module.__init__(module)
    module.last = nn.Linear(2, 2)
    module.table = nn.Parameter(torch.ones(2))
    with pytest.raises(ConfigError, match=message):
        check_derived('backbone', module)


@pytest.mark.parametrize('kind', CACHING)
def test_caches_of_the_float_model_are_forgotten(kind):
    used, fresh = Net(kind()).eval(), Net(kind()).eval()
    with torch.no_grad():
        expected = used(rows())
        for net in used, fresh:
            net.test_step = net.forward
            quantize_model(net, config(), [rows()])
            assert sqnr(expected, net(rows())) > 30
        assert same(fresh(rows()), used(rows()))


def test_what_is_forgotten_is_told():
    net = Net(CachedByDevice()).eval()
    net.backbone.part = CachedWithFlag()
    with torch.no_grad():
        net(rows())
        net.backbone.part(rows())
        # The region calls its part nowhere, which may be used otherwise.
        assert forget_caches(net, config(), net, [rows()]) == {'backbone': ['cache']}
        assert net.backbone.part.ready
        expected = net(rows())
        assert forget_caches(net, config(), net, [rows()]) == {'backbone': ['cache']}
    assert same(expected, net(rows()))


def test_constants_are_not_forgotten():
    class Constants(Derives):
        def prepare(self):
            self.scale, self.masks = torch.tensor(0.5), [torch.ones(16), None]
            self.register_buffer('shift', torch.ones(16), persistent=False)
            self.extra = None

        def bias(self):
            bias = self.made() * self.scale + self.masks[0]
            return bias if self.shift is None else bias + self.shift

    net = Net(Constants()).eval()
    before = dict(vars(net.backbone)), dict(net.backbone.named_buffers())
    assert forget_caches(net, config(), net, [rows()]) == {}
    assert vars(net.backbone) == before[0]
    assert dict(net.backbone.named_buffers()) == before[1]
