"""Models of token ids: like BERT, DistilBERT and GPT-2, with masks of any pattern."""

import pytest
import text_models
import torch
from region_models import CANDIDATES

import iptq_mm
from iptq_mm.calibration import ConfigError
from iptq_mm.modes import regions_in
from iptq_mm.program import Deployed, use_backend

FEW = dict(candidates=CANDIDATES, weight=dict(rounding=dict(type='nearest')))


def batches(count=3):
    names = 'input_ids', 'attention_mask'
    return [
        dict(zip(names, text_models.sentences(seed=s), strict=True))
        for s in range(count)
    ]


@pytest.fixture(scope='module')
def berts():
    """Quantized models by style, each made once."""
    made = {}

    def of(style):
        if style not in made:
            model = text_models.made(text_models.Bert, style)
            made[style] = iptq_mm.quantize(model, batches(), settings=FEW)
        return made[style]

    return of


@pytest.fixture(scope='module')
def gpt():
    model = text_models.made(text_models.Gpt, 'causal sdpa')
    ids = [batch['input_ids'] for batch in batches()]
    return iptq_mm.quantize(model, ids, settings=FEW), ids[0]


def run_by(quantized, backend, batch):
    use_backend(quantized._root, backend)
    with torch.no_grad():
        found = quantized.model(**batch)
    (region,) = regions_in(quantized._root).values()
    fallbacks = getattr(
        region.session and region.session.programs[-1].executable, 'fallbacks', {}
    )
    use_backend(quantized._root, None)
    return found, fallbacks


@pytest.mark.parametrize('style', ['add', 'fill', 'where', 'sdpa'])
def test_masks_of_all_spellings(berts, style):
    quantized, batch = berts(style), batches()[0]
    report = quantized.report
    assert report['audit']['holds'] and report['decibels']['output:0'] > 25
    eager, _ = run_by(quantized, None, batch)
    for backend in ('reference', 'native'):
        found, fallbacks = run_by(quantized, backend, batch)
        assert torch.equal(found, eager) and fallbacks == {}
    (program,) = report['audit']['regions']
    assert program['inputs'] == [[4, 12], [4, 12]]
    assert program['operations']['requantize'] > 0


@pytest.mark.parametrize('backend', [None, 'native'])
def test_padding_changes_no_bit(berts, backend):
    quantized = berts('add')
    use_backend(quantized._root, backend)
    ids, mask = text_models.sentences(seed=5)
    call = torch.no_grad()(lambda i, m: quantized.model(i, m))
    together = call(ids, mask)
    for row, length in enumerate(mask.sum(1).tolist()):
        alone = call(ids[row : row + 1, :length], mask[row : row + 1, :length])
        assert torch.equal(together[row, :length], alone[0])
    # What stands behind a mask plays no role, nor where the mask is.
    other = torch.where(mask.bool(), ids, 7)
    seen = mask.bool()
    assert torch.equal(call(other, mask)[seen], together[seen])
    holes = torch.ones_like(mask)
    holes[:, 3] = 0
    changed = ids.clone()
    changed[:, 3] = 11
    kept = [i for i in range(12) if i != 3]
    before, after = call(ids, holes), call(changed, holes)
    assert torch.equal(before[:, kept], after[:, kept])
    assert not torch.equal(before[:, 3], after[:, 3])
    use_backend(quantized._root, None)


def test_new_contents_need_no_new_program(berts):
    quantized = berts('fill')
    use_backend(quantized._root, 'reference')
    for seed in range(3):
        quantized.model(*text_models.sentences(seed=seed))
    (region,) = regions_in(quantized._root).values()
    assert len(region.session.programs) == 1
    ids = torch.full((4, 12), 50)
    with pytest.raises(ValueError, match='50..50, and the region takes 0..49'):
        quantized.model(ids, torch.ones_like(ids))
    use_backend(quantized._root, None)


def test_token_types(berts):
    model = text_models.made(text_models.Bert, 'add')
    data = [{**b, 'token_type_ids': b['attention_mask']} for b in batches()]
    quantized = iptq_mm.quantize(model, data, settings=FEW)
    assert quantized.report['decibels']['output:0'] > 25
    (program,) = quantized.report['audit']['regions']
    assert len(program['inputs']) == 3


def test_the_future_has_no_influence(gpt):
    quantized, ids = gpt
    assert quantized.report['audit']['holds']
    with torch.no_grad():
        whole, part = quantized.model(ids), quantized.model(ids[:, :5])
    assert torch.equal(whole[:, :5], part)
    # The table of words and the last layer are one parameter.
    plan = quantized.plan['model'].parameters
    assert plan['words.weight'].role == 'weight' and plan['words.weight'].bits == 8


def test_saved_exported_and_deployed(berts, tmp_path):
    quantized, batch = berts('add'), batches()[1]
    with torch.no_grad():
        expected = quantized.model(**batch)
    quantized.save(tmp_path / 'bert.pth')
    again = iptq_mm.load(text_models.Bert('add'), tmp_path / 'bert.pth')
    with torch.no_grad():
        assert torch.equal(again.model(**batch), expected)
    again.export(tmp_path / 'bert.program', batch)
    deployed = Deployed.load(tmp_path / 'bert.program', 'reference')
    assert 'integers or booleans, shape (4, 12)' in repr(deployed)
    (found,) = deployed(*batch.values())
    assert torch.equal(found, expected)
    with pytest.raises(ValueError, match='integers or booleans are needed'):
        deployed(torch.zeros(4, 12), batch['attention_mask'])


def test_a_mask_made_outside(tmp_path):
    """The encoder alone is a region: it gets floats and an additive mask."""
    model = text_models.made(text_models.Bert, 'add')
    quantized = iptq_mm.quantize(model, batches(), regions=['layers'], settings=FEW)
    assert quantized.report['decibels']['output:0'] > 25
    assert quantized.report['audit']['holds']
    plan = quantized.plan['layers.0']
    assert plan.inputs['input:1'].qmin == -1 and plan.inputs['input:1'].qmax == 0
    batch = batches()[0]
    with torch.no_grad():
        eager = quantized.model(**batch)
        use_backend(quantized.model, 'native')
        assert torch.equal(quantized.model(**batch), eager)
        ids, mask = batch['input_ids'], batch['attention_mask']
        other = torch.where(mask.bool(), ids, 9)
        seen = mask.bool()
        assert torch.equal(quantized.model(other, mask)[seen], eager[seen])


class Counting(text_models.Bert):
    """Computes with its ids."""

    def forward(self, input_ids, attention_mask):
        return super().forward(input_ids, attention_mask) * input_ids.sum()


def test_ids_that_are_read_are_an_error():
    model = text_models.made(Counting, 'add')
    with pytest.raises(ConfigError, match='token ids are read') as error:
        iptq_mm.quantize(model, batches(), settings=FEW)
    assert "regions=['words'" in str(error.value)


class Asking(text_models.Bert):
    """Reads a mask, and only embeds its ids."""

    def forward(self, input_ids, attention_mask):
        assert not attention_mask.sum().isnan()
        return super().forward(input_ids, attention_mask)


def test_a_mask_that_is_read_is_none():
    model = text_models.made(Asking, 'add')
    quantized = iptq_mm.quantize(model, batches(), settings=FEW)
    assert quantized.report['regions'] == ['model']
