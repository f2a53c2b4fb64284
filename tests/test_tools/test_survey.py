"""tools/survey.py: a row says what a model lacks, or how near to float it is."""

import json
import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def survey(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    yield __import__('survey')
    for name in [n for n in sys.modules if n.startswith('survey')]:
        sys.modules.pop(name, None)


def test_the_findings_about_a_model(survey):
    row = survey.surveyed('mmpretrain/VisionTransformer')
    assert row['dB'] > 25 and row['compared dB'] > row['expected dB'] - 3
    assert 'missing' not in row and row['equal'] and row['fallbacks'] == {}
    assert row['float ms'] > 0 and row['native ms'] > 0


def test_what_is_missing(survey, monkeypatch):
    monkeypatch.setattr(torch.nn.GELU, 'forward', lambda self, x: torch.sin(x))
    row = survey.surveyed('mmpretrain/VisionTransformer')
    assert 'no integer rule for torch.sin' in row['missing']
    assert 'dB' not in row and 'equal' not in row


def test_known_models_are_not_tried_again(survey, monkeypatch, tmp_path):
    row = {'dB': 30.0, 'compared dB': 30.0, 'expected dB': 34.0, 'seconds': 1.0}
    kept = tmp_path / 'mmpretrain_VisionTransformer.json'
    kept.write_text(json.dumps(row))
    monkeypatch.setattr(survey, 'survey', lambda names, timeout: iter(found(names)))
    tried = []

    def found(names):
        tried.extend(names)
        return [(name, {'missing': 'a rule', 'seconds': 1.0}) for name in names]

    out = tmp_path / 'models.md'
    arguments = ['mmpretrain/(VisionT|DeiT3)', '--work-dir', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['survey.py', *arguments, '--out', str(out)])
    assert survey.main() == 0
    assert tried == ['mmpretrain/DeiT3']
    assert json.loads((tmp_path / 'mmpretrain_DeiT3.json').read_text()) == {
        'missing': 'a rule',
        'seconds': 1.0,
    }
    text = out.read_text()
    assert '## mmpretrain\n1 of 2 run in integers. In 0 of these, `native`' in text
    assert 'VisionTransformer (3 dB or more below)' in text
    assert '| VisionTransformer | 30.0 | 30.0 | 34.0 |  |  |  |' in text
    assert '| DeiT3 |  |  |  |  |  | a rule |' in text
