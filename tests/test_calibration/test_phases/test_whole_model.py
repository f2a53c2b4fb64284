"""Whole-model analysis: errors accumulate, and the criteria see it."""

import copy

import pytest
import torch
from region_models import (
    CANDIDATES,
    SEVERAL,
    Custom,
    Net,
    calibrated,
    config,
    images,
    mmdet_swin,
    quantized,
    rows,
    sqnr,
    vit,
)
from torch import nn

from iptq_mm.calibration import (
    ConfigError,
    analyse_whole_model,
    freeze_regions,
    observe,
)
from iptq_mm.calibration.phases.assign import choose_functions
from iptq_mm.calibration.region_check.expected_values import FloatValues, IntegerValues
from iptq_mm.functions import function_name
from iptq_mm.modes import Region, bind, bound_region, regions_in
from iptq_mm.registry import FUNCTIONS

pytestmark = pytest.mark.usefixtures('no_grad')

SOFTMAX = dict(
    CANDIDATES, softmax=[dict(type='i_softmax'), dict(type='log_int_softmax')]
)
READINGS = ('degradation', 'literal', 'absolute')


@torch.no_grad()
def noisy_scores():
    """A Softmax of four equal scores, by weights whose rounding makes them unequal.

    In floats, all weights map the two-dimensional inputs to the same score. Rounding to
    4 bits spoils that. The most precise function passes the errors on;
    log_int_softmax, which rounds to powers of two, gives the quarters again.
    """
    module = Custom(lambda self, x: self.last(x.softmax(-1)), dims=4)
    module.norm = nn.Identity()
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    others = torch.randn(4, 6, generator=generator) @ basis[:, 2:].T
    module.first.weight.copy_(basis[:, :1].T + others)
    module.first.bias.zero_()
    module.last.weight.copy_(torch.eye(4))
    module.last.bias.zero_()
    batches = [
        torch.randn(4, 16, 2, generator=generator) @ basis[:, :2].T
        + 0.02 * torch.randn(4, 16, 8, generator=generator)
        for _ in range(3)
    ]
    return module, batches


def softmax_config(**options):
    return config(SOFTMAX, weight=dict(bits=4), **options)


@pytest.fixture(scope='module')
def by_analysis():
    """Records of the two analyses."""
    module, batches = noisy_scores()
    criterion, records = dict(type='sqnr_difference'), {}
    with torch.no_grad():
        for analysis in ('site', 'whole-model'):
            cfg = softmax_config(analysis=analysis, criterion=criterion)
            records[analysis] = calibrated(module, batches, cfg)[2]
    return records


def choice(record, **criterion):
    cfg = softmax_config(criterion=dict(type='sqnr_difference', **criterion))
    (chosen,) = choose_functions(record, cfg).values()
    return chosen


def test_whole_models_pick_the_better_function_where_sites_pick_the_worse(by_analysis):
    module, batches = noisy_scores()
    measured = {}
    for name in ('i_softmax', 'log_int_softmax'):
        fixed = dict(type='fixed', names=dict(softmax=name))
        net = quantized(module, batches, softmax_config(criterion=fixed))
        measured[name] = min(sqnr(module(x), net(x)) for x in batches)
    assert measured['log_int_softmax'] > measured['i_softmax'] + 4
    for measure in ('asqnr', 'sqnr'):
        assert choice(by_analysis['site'], measure=measure) == 'i_softmax'
        assert choice(by_analysis['whole-model'], measure=measure) == 'log_int_softmax'


@pytest.mark.parametrize('reading', READINGS)
@pytest.mark.parametrize('measure', ['asqnr', 'sqnr'])
def test_each_reading_by_hand(by_analysis, reading, measure):
    (errors,) = by_analysis['whole-model'].candidates.values()
    figures = {'asqnr': ('asqnr', 'input_asqnr'), 'sqnr': ('sqnr_db', 'input_sqnr_db')}
    values = {}
    for name, e in errors.items():
        beta, gamma = (getattr(e, figure) for figure in figures[measure])
        values[name] = dict(
            degradation=gamma - beta, literal=beta - gamma, absolute=abs(beta - gamma)
        )[reading]
    wanted = min(values, key=values.get)
    assert (
        choice(by_analysis['whole-model'], reading=reading, measure=measure) == wanted
    )
    # The readings do not all agree on these data.
    assert wanted == ('log_int_softmax' if reading == 'degradation' else 'i_softmax')


def test_other_criteria_take_such_records(by_analysis):
    record = by_analysis['whole-model']
    for kind in ('sqnr', 'perturbation', 'unified_metric', 'cost'):
        chosen = choose_functions(record, softmax_config(criterion=dict(type=kind)))
        assert set(chosen.values()) < {'i_softmax', 'log_int_softmax'}
    sqnr_choice = choose_functions(record, softmax_config(criterion=dict(type='sqnr')))
    assert list(sqnr_choice.values()) == ['log_int_softmax']


@pytest.mark.parametrize('make', [vit, mmdet_swin])
def test_errors_are_those_of_the_quantized_model(make):
    """A model quantized with the functions of a method alone has the same errors."""
    module = make()
    batches = [images(2, 3, 40, 32, seed=s) for s in range(2)]
    method = dict(gelu='poly_gelu', softmax='shiftmax', layer_norm='ivit_layernorm')
    cfg = config(
        SEVERAL, analysis='whole-model', criterion=dict(type='fixed', names=method)
    )
    cfg.methods[:] = [
        method,
        dict(gelu='i_gelu', softmax='i_softmax', layer_norm='ibert_layernorm'),
        dict(gelu='table_gelu'),
    ]
    net, plan, record = calibrated(module, batches, cfg)
    twin = Net(copy.deepcopy(module)).eval()
    bind(twin.backbone, Region('backbone', FloatValues(plan)))
    freeze_regions(net, cfg, {'backbone': plan})
    region = bound_region(net.backbone)
    region.mode = IntegerValues(region.mode)
    power = {site: [0.0, 0.0] for site in record.candidates}
    for batch in batches:
        twin(batch), net(batch)
        real = bound_region(twin.backbone).mode.taken()
        integers = region.mode.taken()
        for site, sums in power.items():
            exact = real[site].double()
            sums[0] += float(exact.square().sum())
            sums[1] += float((exact - integers[site]).square().sum())
    compared = 0
    for site, (signal, error) in power.items():
        errors = record.candidates[site][method[record.operations[site]]]
        assert errors.images == 4
        if errors.elements <= 4 * 2**12:  # else one of them looked at a sample
            assert errors.signal / errors.error == pytest.approx(signal / error)
            compared += 1
    assert compared > 3


def test_input_is_taken_before_it_is_narrowed():
    """A GELU whose input has a few large values, so that 8 bits tell little of it."""
    module = Custom(lambda self, x: nn.functional.gelu(x))
    module.norm = nn.Identity()
    batches = [rows(4, 64, seed=s) for s in range(3)]
    for batch in batches:
        batch[:, :2] *= 30
    gelu = [dict(type='interpolated_gelu'), dict(type='table_gelu')]
    cfg = config(dict(CANDIDATES, gelu=gelu), analysis='whole-model')
    record = calibrated(module, batches, cfg)[2]
    (errors,) = record.candidates.values()
    wide, narrow = errors['interpolated_gelu'], errors['table_gelu']
    assert narrow.input_error == wide.input_error
    assert narrow.sqnr_db < wide.sqnr_db - 3
    # ... although the value is made with 8 bits if it is for this function alone.
    only = config(dict(CANDIDATES, gelu=gelu[1:]), analysis='whole-model')
    net, plan, alone = calibrated(module, batches, only)
    (errors,) = alone.candidates.values()
    assert errors['table_gelu'].input_error == wide.input_error
    assert plan.sites['first/linear:0'].output.bits == 8


def test_the_float_model_stays_as_it_was():
    net = Net(vit(drop_rate=0.1)).train()
    cfg = config(SEVERAL, analysis='whole-model')
    values = copy.deepcopy(net.state_dict())
    parameters = list(net.parameters())
    batches = [images(2, 3, 32, 32)]
    records = observe(net, cfg, net, batches)
    calls = []
    handle = net.backbone.patch_embed.register_forward_hook(lambda *a: calls.append(1))
    analyse_whole_model(net, cfg, records, net, batches)
    handle.remove()
    assert len(calls) == 1 + len(cfg.analysis_methods())
    assert regions_in(net) == {} and all(m.training for m in net.modules())
    assert all(a is b for a, b in zip(parameters, net.parameters(), strict=True))
    assert all(torch.equal(v, values[k]) for k, v in net.state_dict().items())
    # Stand-ins leave no trace.
    record = records['backbone']
    for site, constants in record.constants.items():
        assert constants.keys() <= cfg.candidates[record.operations[site]].keys()


def test_batches_add_up():
    module, cfg = vit(), config(SEVERAL, analysis='whole-model')
    batches = [images(2, 3, 32, 32, seed=s) for s in range(2)]
    net, _, together = calibrated(module, batches, cfg)
    records = observe(net, cfg, net, batches)
    apart = []
    for batch in batches:
        analyse_whole_model(net, cfg, records, net, [batch])
        apart.append(copy.deepcopy(records['backbone'].candidates))
    for site, named in together.candidates.items():
        for name, errors in named.items():
            first, second = (a[site][name] for a in apart)
            first.merge(second)
            assert first == errors


def test_candidates_that_cannot_serve(monkeypatch):
    def refuse(self, site):
        raise ValueError('not here')

    monkeypatch.setattr(FUNCTIONS.get('shiftmax'), 'prepare', refuse)
    net, plan, record = calibrated(
        vit(), [images(2, 3, 32, 32)], config(SEVERAL, analysis='whole-model')
    )
    sites = [s for s, kind in record.operations.items() if kind == 'softmax']
    for site in sites:
        assert record.candidates[site].keys() == {'i_softmax'}
        assert record.refused[site] == {'shiftmax': 'not here'}
    # The other functions of that method were measured all the same.
    norms = [s for s, kind in record.operations.items() if kind == 'layer_norm']
    assert all('ivit_layernorm' in record.candidates[site] for site in norms)
    monkeypatch.setattr(FUNCTIONS.get('i_softmax'), 'prepare', refuse)
    monkeypatch.setattr(FUNCTIONS.get('table_softmax'), 'prepare', refuse)
    with pytest.raises(ConfigError, match='none of the candidates for softmax'):
        calibrated(
            vit(), [images(2, 3, 32, 32)], config(SEVERAL, analysis='whole-model')
        )


def test_names_of_methods():
    cfg = config(SEVERAL, analysis='whole-model')
    assert [str(m) for m in cfg.analysis_methods()] == [
        'i_gelu, i_softmax, ibert_layernorm',
        'poly_gelu, (table_softmax), (ibert_layernorm)',
        'table_gelu, shiftmax, ivit_layernorm',
    ]
    for method in cfg.analysis_methods():
        for kind, function in method.functions.items():
            assert FUNCTIONS.get(function['type']).kind == kind
            assert function_name(function)
