"""The audit of whole models: regions, and what stays float."""

import pytest
import torch
from region_models import Custom, quantized, rows
from torch import nn

from iptq_mm.modes import bound_region
from iptq_mm.program.audit import audit_model, markdown, plain


class Wrapped(nn.Module):
    """A region between float parts, as in a detector."""

    def __init__(self, region: nn.Module) -> None:
        super().__init__()
        self.entry = nn.Conv1d(5, 5, 1)
        self.middle = nn.ModuleDict({'region': region, 'gate': nn.Sigmoid()})
        self.head = nn.Sequential(nn.Linear(16, 3), nn.Dropout(), nn.Identity())
        self.head.coder = Coder()
        self.head.test_cfg = dict(rcnn=dict(nms=dict(type='soft_nms'), score_thr=0.1))
        self.loss = nn.CrossEntropyLoss()
        self.unused = nn.Linear(4, 4)

    def forward(self, x):
        x = self.middle['gate'](self.middle['region'](self.entry(x)))
        return self.head(x).softmax(-1)


class Coder:
    """Decodes boxes."""

    def decode(self, boxes):
        return boxes


@pytest.fixture(scope='module')
def region():
    return quantized(Custom(lambda m, x: m.last(x) + x), [rows()]).backbone


@pytest.fixture
def model(region):
    return Wrapped(region).eval()


def test_a_model_holds(model):
    audit = audit_model(model, lambda: model(rows()))
    assert audit.holds, audit.findings
    (program,) = audit.programs
    assert program.region == bound_region(model.middle['region']).name
    assert program.inputs == [(4, 5, 8)]


def test_what_stays_float(model):
    x = rows()
    parts = audit_model(model, lambda: model(x)).outside
    found = {part.path: part for part in parts}
    assert set(found) == {'', 'entry', 'middle.gate', 'head', 'unused'}
    assert found[''].type == 'Wrapped' and found[''].parameters == 0
    assert found[''].operations == {'_softmax': 1}
    assert found['entry'].parameters == 30
    assert found['entry'].layers == {'Conv1d': 1}
    assert found['entry'].operations == {'convolution': 1}
    assert found['middle.gate'].operations == {'sigmoid': 1}
    assert found['head'].parameters == 51
    assert found['head'].layers == {'Linear': 1}
    assert found['head'].helpers == ['Coder', 'soft_nms']
    assert found['unused'].parameters == 20 and not found['unused'].layers


def test_the_share_that_stays_float(model):
    audit = audit_model(model, lambda: [model(rows()), model(rows(2, 5))])
    # A convolution of one tap between 5 channels, and a layer of 16 by 3, for each of
    # 6 rows; what comes out of the region has the shape that the layer takes.
    with torch.no_grad():
        out = model.middle['region'](model.entry(rows()))
    each = 5 * 5 * rows().shape[-1] + out[0].numel() * 3
    assert audit.float_macs == 6 * each
    assert audit.float_parameters == 30 + 51 + 20
    inside = audit.programs[0].census.operations['mac']
    assert audit.integer_macs == inside + audit.programs[1].census.operations['mac']
    assert inside > 0
    learned = sum(p.numel() for p in model.middle['region'].parameters())
    assert audit.integer_parameters == learned
    total = audit.float_macs + audit.integer_macs
    line = f'Float: {6 * each} of {total} multiply-adds of the example ('
    assert line in markdown(audit, 'x') and line in plain(audit, 'x')['floats']


def test_float_attention_counts():
    class Attention(nn.Module):
        def __init__(self, region):
            super().__init__()
            self.region = region

        def forward(self, x):
            heads = x.new_ones(1, 2, 3, 4)
            nn.functional.scaled_dot_product_attention(heads, heads, heads)
            return self.region(x)

    region = quantized(Custom(lambda m, x: m.last(x)), [rows()]).backbone
    audit = audit_model(Attention(region).eval(), lambda: None)
    assert audit.float_macs == 0
    model = Attention(region).eval()
    audit = audit_model(model, lambda: model(rows()))
    assert audit.float_macs == 2 * (2 * 3 * 3 * 4)


def test_what_a_region_has_besides_its_forward(model):
    model.middle['region'].coder = Coder()
    parts = audit_model(model, lambda: model(rows())).outside
    del model.middle['region'].coder
    (part,) = (part for part in parts if part.path == 'middle.region')
    assert part.helpers == ['Coder'] and not part.parameters and not part.operations


def test_each_set_of_shapes_is_audited_once(model):
    def example():
        for size in (4, 2, 4):
            model(rows(size, 5))

    programs = audit_model(model, example).programs
    assert [program.inputs for program in programs] == [[(4, 5, 8)], [(2, 5, 8)]]


def test_a_region_that_does_not_run(model):
    audit = audit_model(model, lambda: None)
    assert not audit.holds and not audit.programs
    (finding,) = audit.findings
    assert finding.region == 'middle.region'
    assert finding.problem.startswith('the example never ran it')


def test_a_model_without_regions():
    with pytest.raises(ValueError, match='no quantized region'):
        audit_model(nn.Linear(2, 2), lambda: None)


def test_the_model_is_left_as_it_was(model):
    model.train()
    audit_model(model, lambda: model(rows()))
    assert model.training
    modules = list(model.modules())
    assert not any(m._forward_pre_hooks for m in (model, model.entry, model.head))
    assert len(modules) == len(list(model.modules()))


def test_hooks_go_even_if_the_example_fails(model):
    def fail():
        model(torch.zeros(3, 1, 2))

    with pytest.raises(RuntimeError):
        audit_model(model, fail)
    assert not model.entry._forward_pre_hooks and not model.entry._forward_hooks


def test_report(model):
    audit = audit_model(model, lambda: model(rows()))
    text, data = markdown(audit, 'a model'), plain(audit, 'a model')
    assert text.startswith('# Audit of a model\n\n**Holds**: ')
    assert '## What does not hold' not in text
    assert '## Region backbone for input 4x5x8 in -' in text
    for word in ('ibert_layernorm', 'normalized_row', 'mac', 'weights', 'soft_nms'):
        assert word in text
    assert data['holds'] and data['findings'] == []
    (found,) = data['regions']
    assert found['inputs'] == [[4, 5, 8]]
    sites = {site['site']: site for site in found['sites']}
    norm = sites['norm/layer_norm:0']
    assert norm['function'] == 'ibert_layernorm' and norm['widest'][64] <= 64
    assert sites['last/linear:0']['accumulator'] < 2**31
    assert {part['path'] for part in data['outside']} >= {'entry', 'head'}


def test_report_of_what_does_not_hold(model):
    audit = audit_model(model, lambda: None)
    text, data = markdown(audit, 'x'), plain(audit, 'x')
    assert '**Does not hold**: 1 findings.' in text
    assert '| middle.region | all  | forward   | the example never ran it' in text
    assert not data['holds'] and data['findings'][0]['region'] == 'middle.region'


def test_tables_are_aligned(model):
    text = markdown(audit_model(model, lambda: model(rows())), 'x')
    blocks = [b.splitlines() for b in text.split('\n\n') if b.startswith('|')]
    assert len(blocks) > 4
    for lines in blocks:
        cuts = {tuple(i for i, c in enumerate(x) if c == '|')[:-1] for x in lines}
        assert len(cuts) == 1
