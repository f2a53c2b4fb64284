"""tools/study_criteria.py on a tiny classifier, and what WhatIf measures."""

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from iptq_mm.engine.study import figures
from iptq_mm.engine.study import setup as study_setup
from iptq_mm.engine.study.what_if import WhatIf, with_site
from iptq_mm.modes import Integer, bound_region

TOOL = Path(__file__).parents[3] / 'tools/study_criteria.py'

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(autouse=True)
def few_resamplings(monkeypatch):
    monkeypatch.setattr(figures, 'RESAMPLINGS', 2)


def table():
    """What the study wrote of every candidate."""
    return list(csv.DictReader(io.StringIO(Path('out/criteria.csv').read_text())))


@pytest.fixture
def started(monkeypatch):
    """Every WhatIf that is made."""
    made = []

    class Seen(WhatIf):
        def __init__(self, *args):
            super().__init__(*args)
            self.runs = 0
            made.append(self)

        def in_integers(self, assignment):
            self.runs += 1
            return super().in_integers(assignment)

    monkeypatch.setattr(study_setup, 'WhatIf', Seen)
    return made


def test_study(tool, vit_run, started):
    """9 sites: 2 GELU, 2 Softmax and 5 LayerNorm of two candidates each."""
    options = ['--work-dir', 'out', '--no-literal', '--images', '2']
    code, out, _ = tool(vit_run.config, *options)
    assert code == 0 and '| unified_metric |' in out
    assert Path('out/criteria.md').read_text() in out
    lines = table()
    assert len(lines) == 18 and len({line['site'] for line in lines}) == 9
    rows = [json.loads(r) for r in Path('out/effects.jsonl').read_text().splitlines()]
    names = [row['name'] for row in rows[1:]]
    assert len(set(names)) == len(names) and 'float logits' in names
    runs = started[0].runs
    assert runs >= 18 and all(len(row['error']) == 2 for row in rows[1:])
    # Nothing is measured twice, and one more image adds one batch.
    assert tool(vit_run.config, *options).code == 0
    assert started[1].runs == 0
    assert table() == lines
    assert tool(vit_run.config, *options[:-1], '3').code == 0
    assert started[2].runs >= 18
    assert len(Path('out/effects.jsonl').read_text().splitlines()) > len(rows)


def test_literal_forms_and_the_evaluation_split(tool, vit_run):
    options = ['--work-dir', 'out', '--split', 'val', '--images', '2', '--draws', '2']
    assert tool(vit_run.config, *options).code == 0
    lines = table()
    literal = {x['candidate'] for x in lines if 'literal=True' in x['candidate']}
    assert literal == {
        f'{name}(literal=True)'
        for name in ('i_gelu', 'i_softmax', 'ibert_layernorm', 'ivit_layernorm')
    }
    text = Path('out/criteria.md').read_text()
    titles = [t for t in text.splitlines() if t.startswith('## ')]
    assert titles == [
        '## Candidates of the config and literal forms',
        '## Candidates of the config',
        '## Without tables',
        '## Literal forms only',
    ]


def test_what_is_measured_is_what_happens(tool, vit_run, started):
    """A candidate in integers, against the plan in a mode of its own."""
    options = ['--work-dir', 'out', '--no-literal', '--images', '2']
    assert tool(vit_run.config, *options).code == 0
    what_if = started[0]
    model, integer = what_if.model, what_if.integer_model
    site = 'layers.1.attn/softmax:0'
    other = (
        {'i_softmax', 'table_softmax'} - {what_if.reference['backbone'][site]}
    ).pop()
    changed = with_site(what_if.reference, 'backbone', site, other)
    batch = dict(inputs=list(torch.randint(0, 256, (2, 3, 32, 32)).byte()))
    reference = what_if.start(batch)
    found = what_if.in_integers(changed)
    alone = what_if.in_floats({'backbone': {site: other}})
    assert what_if.in_floats({}).equal(what_if.logits)
    assert what_if.in_integers(what_if.reference).equal(reference)
    for name, plan in what_if.plans_of(changed).items():
        assert (
            plan.sites.keys() == what_if.plans_of(what_if.reference)[name].sites.keys()
        )
        bound_region(integer.get_submodule(name)).mode = Integer(plan)
    with torch.no_grad():
        data = model.data_preprocessor(batch, False)
        assert integer(**data, mode='tensor').double().equal(found)
    assert not found.equal(reference) and not alone.equal(what_if.logits)
    assert (alone - what_if.logits).norm() < (found - what_if.logits).norm()


def test_wrong_input(tool, vit_run, detector_run, tmp_path):
    def said(*arguments):
        ran = tool(*arguments)
        assert ran.code == 1
        return ran.mistake

    assert 'there is no config' in said('nothing.py')
    assert 'there is no checkpoint' in said(vit_run.config, 'nothing.pth')
    assert 'has 3 that calibration' in said(vit_run.config, '--images', '4')
    assert '0 images' in said(vit_run.config, '--images', '0')
    wrong = tmp_path / 'wrong.pth'
    torch.save({'state_dict': {}}, wrong)
    assert 'has no weights' in said(vit_run.config, wrong)
    cfg = Config.fromfile(vit_run.config)
    cfg.pop('load_from')
    cfg.dump('without.py')
    assert 'no checkpoint: name one' in said('without.py')
    options = [
        '--images',
        '1',
        '--cfg-options',
        'quantization.calibration.num_images=2',
    ]
    assert 'it needs a classifier' in said(detector_run.config, *options)
