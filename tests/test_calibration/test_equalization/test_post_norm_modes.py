"""Every mode sees the shifted operands of a post-norm transformer alike."""

import copy

import pytest
import torch
from equalization_cases import PostNorm, equalized, magnitudes
from region_models import bound, config, rows, same, sqnr

from iptq_mm.calibration import (
    ConfigError,
    analyse,
    assign,
    freeze_regions,
    observe,
    reconstruct,
)
from iptq_mm.calibration.config.parts import ReconstructionConfig
from iptq_mm.calibration.equalization.residual import _with_bits
from iptq_mm.calibration.twins import float_twins
from iptq_mm.engine.diagnose.one_site import OneSite
from iptq_mm.modes import Fake
from iptq_mm.modes.base import FloatMode
from iptq_mm.modes.training import begin_training, end_training
from iptq_mm.program.runtime.site_kernels import SiteKernels

CFG = dict(type='power_of_two', max_power=4, linear=True)
ROWS = [rows(seed=s) for s in range(3)]
NEW = rows(4, seed=9)


@pytest.fixture(scope='module')
def case():
    """Float net, its plan, the integer net, and its float twins."""
    torch.manual_seed(0)
    cfg = config(equalization=[CFG])
    with torch.no_grad():
        net, done = equalized(PostNorm(), ROWS, CFG)
        assert done.powers['backbone']
        records = observe(net, cfg, net, ROWS, done.powers)
        analyse(net, cfg, records, net, ROWS)
        plans = assign(net, cfg, records)
        twins = float_twins(net, ['backbone'])
        integers = copy.deepcopy(net)
        freeze_regions(integers, cfg, plans)
    shifted = [s for s in plans['backbone'].sites.values() if s.input_shifts]
    assert len(shifted) == 2
    return net, plans, integers, twins


@pytest.mark.parametrize('native', [False, True])
def test_what_is_trained_is_what_is_deployed(case, native):
    _, _, integers, _ = case
    expected = integers(NEW)
    net = copy.deepcopy(integers)
    begin_training(net.backbone, None, SiteKernels() if native else None)
    made = net(NEW)
    assert same(made.detach(), expected)
    made.square().sum().backward()
    for name in ('first', 'n0', 'up', 'down', 'n1', 'branch', 'n2', 'last'):
        gradient = net.backbone.get_submodule(name).weight.grad
        assert gradient.isfinite().all() and float(gradient.abs().max()) > 0
    end_training(net.backbone)
    assert same(net(NEW), expected)


def test_blocks_learn(case):
    _, plans, integers, twins = case
    net = copy.deepcopy(integers)
    settings = ReconstructionConfig(epochs=2, rate=0.05)
    done = reconstruct(net, settings, plans, twins, net, ROWS)
    assert done.decibels
    assert all(after >= before for before, after in done.decibels.values())


@torch.no_grad()
def test_the_fake_quantized_model_rounds_as_integers_do(case):
    """Halves up, of which there are many when bits are dropped."""
    net, plans, integers, _ = case
    with bound(net.backbone, Fake(plans['backbone'])):
        fake = net(NEW)
    assert sqnr(integers(NEW), fake) > sqnr(net(NEW), integers(NEW)) + 20


@torch.no_grad()
def test_without_a_site_all_is_float(case):
    net, plans, _, _ = case
    mode = FloatMode()
    mode.channel_shifts = plans['backbone'].channel_shifts
    with bound(net.backbone, mode):
        expected = net(NEW)
    one = OneSite(plans['backbone'], {})
    with bound(net.backbone, one):
        assert torch.equal(net(NEW), expected)
        one.only = 'n1/layer_norm:0'
        assert not torch.equal(net(NEW), expected)
        one.parts = ['weights']
        assert torch.equal(net(NEW), expected)


@pytest.mark.parametrize(
    ('widths', 'powers'),
    [
        ([16.0, 1.0, 1.0], [4, 0, 0]),  # the widest has the largest: nothing is lost
        ([16.0, 1.0, 64.0], [2, 0, 0]),  # two bits are
        ([16.0, 1.0, 20.0], [2, 0, 0]),
        ([256.0, 1.0, 64.0], [4, 0, 0]),
    ],
)
def test_layer_norms_lose_two_bits_at_most(widths, powers):
    wanted = torch.tensor([4, 0, 0])
    made = _with_bits(wanted, [torch.tensor(widths, dtype=torch.float64)])
    assert made.tolist() == powers
    assert _with_bits(wanted, []).tolist() == [4, 0, 0]


@torch.no_grad()
def test_outliers_alone():
    torch.manual_seed(0)
    module = PostNorm()
    net, done = equalized(module, ROWS, dict(CFG, beyond=8.0))
    for powers in done.powers['backbone'].values():
        assert powers[5] > 0 and sum(powers) == powers[5]
    before, after = (magnitudes(n, ROWS) for n in (equalized(module, ROWS)[0], net))
    site = 'n0/layer_norm:0'
    others = [c for c in range(16) if c != 5]
    assert torch.equal(before[site][others], after[site][others])
    none = equalized(module, ROWS, dict(CFG, beyond=1000.0))[1]
    assert none.sites == {'power_of_two': 0} and none.powers == {'backbone': {}}


@pytest.mark.parametrize('powers', [[8, 8], [16], [4, 4, 8]])
def test_shifts_add_up_to_15_at_most(powers):
    cfgs = [dict(CFG, max_power=p) for p in powers]
    with pytest.raises(ConfigError, match='power'):
        config(equalization=cfgs)
    assert config(equalization=[dict(CFG, max_power=8), dict(CFG, max_power=7)])
