"""Every quantization ends with a comparison that finds what else went wrong."""

import copy

import pytest
import torch
from derived_models import AtLoading, Derives
from region_models import (
    CANDIDATES,
    FAMILIES,
    SEVERAL,
    Net,
    config,
    images,
    rows,
    same,
)
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.calibration.region_check import check as region_check
from iptq_mm.calibration.region_check import verdict as region_verdict
from iptq_mm.calibration.region_check.verdict import judged
from iptq_mm.engine.quantize import phases
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.modes import bound_region

LITERAL = dict(
    gelu=[dict(type='shift_gelu', literal=True)],
    softmax=[dict(type='shiftmax', literal=True)],
    layer_norm=[dict(type='ivit_layernorm', literal=True)],
)


class Model(Net):
    def test_step(self, batch):
        return self(batch)


def _vit(**kwargs):
    return Model(FAMILIES['vit'](**kwargs)).eval()


def _pictures(count=2):
    return [images(2, 3, 32, 32, seed=seed) for seed in range(count)]


BITS = {
    'w8a8': {},
    'w4a8': dict(weight=dict(bits=4)),
    'w6a6': dict(weight=dict(bits=6), activation=dict(bits=6)),
    'w3a4': dict(weight=dict(bits=3), activation=dict(bits=4)),
    'wide 8': dict(wide=dict(bits=8)),
    'gptq': dict(weight=dict(bits=4, rounding=dict(type='second_order'))),
}


@pytest.mark.parametrize('bits', BITS)
@pytest.mark.parametrize('candidates', [CANDIDATES, SEVERAL])
def test_sound_models_pass(bits, candidates):
    settings = config(candidates, **BITS[bits])
    check = quantize_model(_vit(), settings, _pictures()).checks['backbone']
    assert check['site'] == ''
    assert check['integer_db'] > check['expected_db'] - 3


@pytest.mark.slow
@pytest.mark.parametrize('bits', BITS)
@pytest.mark.parametrize('family', ['deit', 'mmpretrain_swin', 'mmdet_swin'])
def test_sound_families_pass(bits, family):
    model = Model(FAMILIES[family]()).eval()
    settings = config(SEVERAL, **BITS[bits])
    check = quantize_model(model, settings, _pictures()).checks['backbone']
    assert check['site'] == ''
    assert check['integer_db'] > check['expected_db'] - 3


def _with_fault(monkeypatch, fault):
    """Something goes wrong while the model is frozen."""
    freeze = phases.freeze_regions

    def frozen(model, *args):
        freeze(model, *args)
        fault(model.backbone)

    monkeypatch.setattr(phases, 'freeze_regions', frozen)


def _other_codes(backbone):
    weight = backbone.layers[1].attn.qkv.weight
    weight.copy_(weight.flip(0))


def _other_table(backbone):
    backbone.pos_embed.copy_(-backbone.pos_embed)


FAULTS = {
    'layers.1.attn.qkv/linear:0': _other_codes,
    '/add:0': _other_table,
}


@pytest.mark.parametrize('site', FAULTS)
def test_faults_are_found_and_named(monkeypatch, site):
    _with_fault(monkeypatch, FAULTS[site])
    message = rf"'backbone' is wrong in integers: .* first at '{site}', .*explain \d"
    with torch.no_grad(), pytest.raises(ConfigError, match=message):
        quantize_model(_vit(), config(), _pictures())
    with torch.no_grad():
        passed = quantize_model(_vit(), config(on_mismatch='warn'), _pictures())
    check = passed.checks['backbone']
    assert check['site'] == site and not check['by_functions']
    assert check['site_integer_db'] < check['site_expected_db'] - 10


def test_attributes_made_of_codes_are_found(monkeypatch):
    """As TinyViT's were."""

    def fault(backbone):
        del backbone.iptq_derived
        backbone.ab = backbone.made().detach() / 1000

    _with_fault(monkeypatch, fault)
    model = Model(AtLoading()).eval()
    model.backbone.load_state_dict(model.backbone.state_dict())
    with torch.no_grad(), pytest.raises(ConfigError, match='is wrong in integers'):
        quantize_model(model, config(), [rows()])


def test_on_mismatch_is_checked():
    with pytest.raises(ConfigError, match="on_mismatch='no': use 'error' or 'warn'"):
        config(on_mismatch='no')
    assert repr(config(on_mismatch='warn')) == repr(config())


def test_literal_functions_only_warn(monkeypatch):
    said = []
    monkeypatch.setattr(region_verdict, 'print_log', lambda *args: said.append(args))
    result = quantize_model(_vit(), config(LITERAL), _pictures())
    check = result.checks['backbone']
    assert check['by_functions'] and 'gelu' in check['site']
    assert 'its integer functions do it' in said[-1][0]


def test_functions_that_nobody_wished(monkeypatch):
    from iptq_mm.functions.gelu.table_gelu import TableGELU

    prepare = TableGELU.prepare

    def wrong(self, site):
        constants = prepare(self, site)
        return {**constants, 'table': constants['table'].flip(0)}

    monkeypatch.setattr(TableGELU, 'prepare', wrong)
    candidates = dict(CANDIDATES, softmax=SEVERAL['softmax'])
    with pytest.raises(ConfigError, match=r"/gelu:0', .* give other candidates"):
        quantize_model(_vit(), config(candidates), _pictures())


class TwoRegions(Model):
    """The second one runs with the third batch, and several times."""

    def __init__(self):
        super().__init__(Derives())
        self.head = Derives()
        self.batches = 0

    def forward(self, x):
        y = self.backbone(x)
        if float(x.sum()) > 0:
            for part in y[..., :8].split(1):
                self.head(part)
        return y


def test_every_region_is_compared(monkeypatch):
    batches = [-rows().abs(), -rows(seed=1).abs(), rows().abs()]
    settings = config(regions=['backbone', 'head'])
    with torch.no_grad():
        checks = quantize_model(TwoRegions().eval(), settings, batches).checks
    assert set(checks) == {'backbone', 'head'}
    freeze = phases.freeze_regions

    def frozen(model, *args):
        freeze(model, *args)
        model.head.last.weight.copy_(model.head.last.weight.flip(0))

    monkeypatch.setattr(phases, 'freeze_regions', frozen)
    with torch.no_grad(), pytest.raises(ConfigError, match="'head' .* 'last/linear:0'"):
        quantize_model(TwoRegions().eval(), settings, batches)


class CallsForward(Model):
    """As some heads of mmdet predict."""

    def forward(self, x):
        return self.backbone.forward(x)


def test_forward_called_by_itself():
    with torch.no_grad():
        done = quantize_model(CallsForward(Derives()).eval(), config(), [rows()])
    assert done.plans and not done.checks


def test_the_model_is_as_it_would_be_without():
    model = _vit().train()
    quantize_model(model, config(), _pictures())
    mode = bound_region(model.backbone).mode
    assert type(mode).__name__ == 'Integer'
    assert bound_region(model.backbone).on_output is None
    assert not model.backbone._forward_pre_hooks and model.training
    twin = copy.deepcopy(model).eval()
    model.eval()
    with torch.no_grad():
        assert same(model(_pictures()[0]), twin(_pictures()[0]))


def test_judging():
    good = {'a': [1000.0, 1.0, 1.0, 1.0], 'output:0': [1000.0, 10.0, 8.0, 10.0]}
    assert judged(good).site == ''
    hidden = {'a': [1000.0, 900.0, 1.0, 1.0], 'output:0': [1000.0, 10.0, 8.0, 10.0]}
    assert judged(hidden).site == ''
    bad = {
        'a': [1000.0, 1.0, 1.0, 1.0],
        'b': [1000.0, 500.0, 1.0, 1.0],
        'output:0': [1000.0, 900.0, 8.0, 8.0],
        'output:1': [1000.0, 9.0, 8.0, 8.0],
    }
    found = judged(bad)
    assert found.site == 'b' and not found.by_functions
    assert found.integer_db < 1 and found.expected_db > 20
    bad['output:0'][-1] = 800.0
    assert judged(bad).by_functions
    assert judged({'output:0': [0.0, 0.0, 0.0, 0.0]}).site == ''
    assert judged({'output:0': [1.0, float('nan'), 0.1, 0.1]}).site == 'output:0'


def test_all_ranks_decide_alike(monkeypatch):
    """What one rank saw counts for all, where the first ones saw no call at all."""
    monkeypatch.setattr(
        region_check.dist,
        'all_gather_object',
        lambda mine: [
            mine,
            {
                'backbone': {'output:0': [1e9, 1e9, 1.0, 1.0]},
                **{k: {} for k in mine if k != 'backbone'},
            },
        ],
    )
    model = Model(nn.Sequential(Derives())).eval()
    checker = region_check.RegionChecker(model, ['backbone'])
    assert checker.checks()['backbone'].site == 'output:0'
