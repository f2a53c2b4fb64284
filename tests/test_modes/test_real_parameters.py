"""What modules derive from parameters is made of real values, in every process."""

import copy

import pytest
import torch
from derived_models import DERIVING, Derives, InPart, InTrain
from region_models import config, quantized, rows, same, sqnr
from torch import nn

from iptq_mm.modes import bound_region
from iptq_mm.modes.install import PLAN_KEY, install
from iptq_mm.modes.real_parameters import real_parameters
from iptq_mm.plan import RegionPlan
from iptq_mm.program import use_backend
from iptq_mm.qtensor import UnsupportedOperationError

pytestmark = pytest.mark.usefixtures('no_grad')


def loaded(kind):
    """The float module as a checkpoint fills it."""
    module = kind()
    module.load_state_dict(Derives.state_dict(module))
    module.eval()
    return module


def reloaded(kind, net):
    """A new module, filled by the integers of another."""
    other, state = kind(), net.backbone.state_dict()
    install('backbone', other, RegionPlan.from_tensor(state[PLAN_KEY]))
    holder = nn.Module()
    holder.backbone = other
    holder.load_state_dict({f'backbone.{k}': v for k, v in state.items()})
    holder.eval()
    return other


@pytest.mark.parametrize('kind', DERIVING)
def test_derived_of_real_values(kind):
    module = loaded(kind)
    net = quantized(module, [rows()])
    assert sqnr(module(rows()), net(rows())) > 30
    net.train().eval()
    assert sqnr(module(rows()), net(rows())) > 30


@pytest.mark.parametrize('kind', DERIVING)
def test_the_reloaded_model_has_the_same_bits(kind):
    net = quantized(loaded(kind), [rows()])
    net.eval()
    expected = net(rows())
    other = reloaded(kind, net)
    assert same(expected, other(rows()))
    # Loaded into itself, as for a second checkpoint.
    other.load_state_dict(net.backbone.state_dict())
    other.eval()
    assert same(expected, other(rows()))


@pytest.mark.parametrize('kind', [InTrain, InPart])
def test_eval_of_a_part_alone(kind):
    net = quantized(loaded(kind), [rows()])
    expected = net(rows())
    for module in net.backbone.modules():
        if module is not net.backbone:
            nn.Module.train(module, False)
            module.eval()
    if kind is InPart:
        assert not net.backbone.part.ab.is_floating_point()
    assert same(expected, net(rows()))
    use_backend(net, 'reference')
    for part in net.backbone.children():
        part.eval()
    assert same(expected, net(rows()))


@pytest.mark.parametrize('kind', [InTrain, InPart])
def test_copies_derive_of_their_own(kind):
    net = quantized(loaded(kind), [rows()])
    twin, expected = copy.deepcopy(net), net(rows())
    net.train()
    twin.eval()
    assert same(expected, twin(rows()))
    for name, value in twin.named_parameters():
        if name.endswith('table'):
            value.zero_()
    twin.eval()
    assert not same(expected, twin(rows()))
    net.eval()
    assert same(expected, net(rows()))


def test_programs_stay_when_nothing_changed():
    net = quantized(loaded(InTrain), [rows()])
    use_backend(net, 'reference')
    net.eval()
    expected = net(rows())
    session = bound_region(net.backbone).session
    kept = list(session.programs)
    net.eval()
    assert same(expected, net(rows()))
    assert list(session.programs) == kept


def test_parameters_that_the_code_replaces():
    class Replaces(Derives):
        def train(self, mode=True):
            super().train(mode)
            if getattr(self, 'replacing', False):
                self.table = nn.Parameter(self.table * 2)

    net = quantized(Replaces(), [rows()], config())
    net.backbone.replacing = True
    with pytest.raises(UnsupportedOperationError, match="'Replaces' makes other param"):
        net.eval()
    assert net.backbone.table.dtype == torch.int16


def test_nothing_to_do_with_real_parameters():
    module = Derives()
    with real_parameters(module, None):
        assert module.table.is_floating_point()
