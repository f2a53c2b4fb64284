"""Blocks learn to return what the float ones return."""

import copy

import pytest
import region_models
import torch
from region_models import Net, images, sqnr
from torch import nn

from iptq_mm.calibration import (
    analyse,
    assign,
    check_regions,
    freeze_regions,
    observe,
    reconstruct,
)
from iptq_mm.calibration.config.parts import ReconstructionConfig
from iptq_mm.calibration.reconstruction.learn import _divided
from iptq_mm.calibration.twins import float_twins
from iptq_mm.modes import bound_region
from iptq_mm.modes.training.part import parameters_of
from iptq_mm.program.runtime.site_kernels import SiteKernels

CONFIG = ReconstructionConfig(epochs=8, rate=0.05, wide_rate=0.003)
BATCHES = [images(4, 3, 32, 32, seed=seed) for seed in range(4)]
#: With as few as those, a part learns them by heart.
MORE = [images(4, 3, 32, 32, seed=seed) for seed in range(8)]
HELD_OUT = [images(4, 3, 32, 32, seed=seed) for seed in range(100, 103)]
#: At 3 bits, there is something to learn.
COARSE = region_models.config(weight=dict(bits=3, observer=dict(type='mse')))


class Frozen:
    """A region at 3 bits, and its float self."""

    def __init__(self, family):
        self.float = region_models.FAMILIES[family]()
        self.net, self.plan, _ = region_models.calibrated(self.float, BATCHES, COARSE)
        self.plans = {'backbone': self.plan}
        self.twins = float_twins(self.net, ['backbone'])
        freeze_regions(self.net, COARSE, self.plans)

    def learned(self, config=CONFIG, batches=BATCHES, **options):
        """A copy of the net that has learned, and what was done."""
        net = copy.deepcopy(self.net)
        done = reconstruct(net, config, self.plans, self.twins, net, batches, **options)
        return net, done

    @torch.no_grad()
    def sqnr(self, net):
        """Of the outputs on images that nothing has seen."""
        return sqnr([self.float(x) for x in HELD_OUT], [net(x) for x in HELD_OUT])


@pytest.fixture(scope='module')
def vit():
    with torch.no_grad():
        return Frozen('vit')


@pytest.fixture(scope='module')
def whole(vit):
    """A ViT that has learned."""
    return vit.learned()


def _integers(net):
    return {n: p.detach().clone() for n, p in net.backbone.named_parameters()}


def _same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[n], other[n]) for n in one
    )


def test_a_seed_is_one_of_many_ways_to_learn(vit, whole):
    one, _ = vit.learned(seed=1)
    assert not _same(_integers(one), _integers(whole[0]))
    assert _same(_integers(one), _integers(vit.learned(seed=1)[0]))


@pytest.mark.parametrize('family', ['vit', 'mmpretrain_swin', 'mmdet_swin'])
def test_outputs_on_other_images_are_nearer_to_float(family):
    with torch.no_grad():
        frozen = Frozen(family)
    net, done = frozen.learned(batches=MORE)
    assert frozen.sqnr(net) > frozen.sqnr(frozen.net) + 0.2
    assert all(after >= before for before, after in done.decibels.values())
    blocks = [n for n in done.decibels if n.rpartition('.')[2].isdecimal()]
    assert len(blocks) == (2 if family == 'vit' else 4)
    assert type(bound_region(net.backbone).mode).__name__ == 'Integer'
    assert all(not p.is_floating_point() for p in net.backbone.parameters())


def test_only_learns_what_it_may_change(vit):
    before = _integers(vit.net)
    net, _ = vit.learned(without={'backbone': {'patch_embed.projection.weight'}})
    after = _integers(net)
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    parts = ('layers.0.', 'layers.1.', 'ln1.')
    assert changed and all(n.startswith(parts) for n in changed)


def test_the_same_on_the_disk(vit, whole):
    in_memory, mine = whole
    config = copy.copy(CONFIG)
    config.memory_limit_mb = 0
    spilled, other = vit.learned(config)
    assert _same(_integers(in_memory), _integers(spilled))
    assert mine.memory_mb > 0 == mine.spilled_mb
    assert other.spilled_mb > 0 == other.memory_mb


@pytest.mark.parametrize('finished', [1, 2])
def test_goes_on_where_it_was(vit, whole, finished):
    """Of an interrupted run, the parts that have learned are kept."""
    kept = {}

    class Killed(Exception):
        pass

    def keep():
        if len(kept) == finished:
            raise Killed

    with pytest.raises(Killed):
        vit.learned(learned=kept, keep=keep)
    again, done = vit.learned(learned=copy.deepcopy(kept))
    assert _same(_integers(whole[0]), _integers(again))
    assert not done.decibels.keys() & kept.keys()


def test_kernels_give_the_same(vit, whole):
    net, _ = vit.learned(kernels=SiteKernels)
    assert _same(_integers(net), _integers(whole[0]))


def test_nothing_is_worse_than_it_was(vit):
    """A rate with which everything is lost: the integers stay as they were."""
    wild = ReconstructionConfig(epochs=1, rate=50.0, wide_rate=5.0)
    net, done = vit.learned(wild)
    assert all(before == after for before, after in done.decibels.values())
    assert _same(_integers(net), _integers(vit.net))


def test_float_inputs_among_those_of_the_integers(vit, whole):
    config = copy.copy(CONFIG)
    config.float_share = 0.5
    net, _ = vit.learned(config)
    assert not _same(_integers(net), _integers(whole[0]))
    net, _ = vit.learned(config, MORE)
    assert vit.sqnr(net) > vit.sqnr(vit.net) + 0.2


def test_the_model_is_as_it_was_but_for_its_integers(vit, whole):
    net, _ = whole
    assert net.backbone is not vit.twins['backbone']
    for module in (*net.backbone.modules(), *vit.twins['backbone'].modules()):
        # One hook each is that of the region.
        assert len(module._forward_pre_hooks) <= 1 >= len(module._forward_hooks)
    assert not bound_region(vit.twins['backbone']).on_output


@pytest.mark.parametrize(
    'count, learned, judges',
    [
        (1, [0], [0]),
        (2, [0], [1]),
        (5, [0, 1, 2, 3], [4]),
        (17, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 16], [7, 15]),
    ],
)
def test_what_is_learned_is_judged_by_other_calls(count, learned, judges):
    assert tuple(map(list, _divided(range(count)))) == (learned, judges)


class Levels(nn.Module):
    """One layer for two inputs, as heads of detectors have it."""

    def __init__(self):
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x):
        return self.layer(self.norm(x)), self.layer(self.norm(-x))


def test_a_layer_that_is_called_twice_stays():
    module = region_models.spread(Levels())
    batches = [region_models.rows(seed=seed) for seed in range(3)]
    cfg = region_models.config()
    with torch.no_grad():
        net, plan, _ = region_models.calibrated(module, batches, cfg)
        twins = float_twins(net, ['backbone'])
        freeze_regions(net, cfg, {'backbone': plan})
    before = _integers(net)
    done = reconstruct(net, CONFIG, {'backbone': plan}, twins, net, batches)
    assert not done.decibels and _same(before, _integers(net))


def test_parameters_have_the_names_of_the_region():
    net = Net(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    net.backbone[1].weight = net.backbone[0].weight
    assert list(parameters_of(net.backbone, '1')) == ['0.weight', '1.bias']


class Choosing(nn.Module):
    """A model whose second region sees what the results of the first one choose."""

    def __init__(self, best=None):
        super().__init__()
        torch.manual_seed(0)
        self.best = best
        layers = [nn.Linear(8, 8), nn.LayerNorm(8)]
        self.backbone = region_models.spread(nn.Sequential(*layers))
        self.head = region_models.spread(nn.Sequential(nn.Linear(8, 6), nn.ReLU()))
        self.chosen = []

    def forward(self, x):
        found = self.backbone(x).flatten(0, 1)
        order = found[:, 0].argsort(descending=True)
        number = self.best or int((found[:, 0] > 0.2).sum())
        self.chosen.append(order[:number].tolist())
        return self.head(found[order[:number]])


@pytest.mark.parametrize('best', [None, 20])
def test_what_the_floats_choose_is_what_a_part_learns_from(best):
    """Integers choose other rows, of which the float results would be no targets."""
    config = region_models.config(
        weight=dict(bits=3), activation=dict(bits=3), regions=['backbone', 'head']
    )
    given = [torch.randn(2, 40, 8) for _ in range(4)]
    net = Choosing(best).eval()
    check_regions(net, config)
    records = observe(net, config, net, given)
    analyse(net, config, records, net, given)
    plans = assign(net, config, records)
    twins = float_twins(net, ['backbone', 'head'])
    net.chosen.clear()
    for x in given:
        net(x)
    wanted = list(net.chosen)
    freeze_regions(net, config, plans)
    net.chosen.clear()
    for x in given:
        net(x)
    assert net.chosen != wanted  # or there would be nothing to test
    done = reconstruct(net, CONFIG, plans, twins, net, given)
    before, after = done.decibels['head.0']
    assert before > 10 and after >= before
