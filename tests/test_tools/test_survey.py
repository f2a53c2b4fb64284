"""tools/survey.py: a row says what a model lacks, or how near to float it is."""

import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def survey(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    yield __import__('survey')
    for name in ('survey', 'survey_models'):
        sys.modules.pop(name, None)


def test_a_row(survey):
    row = survey.surveyed('VisionTransformer')
    assert float(row['dB']) > 25 and abs(float(row['dB']) - float(row['expected'])) < 3
    assert not row['what is missing']
    assert row['native'] == 'equal' and not row['fallbacks']


def test_what_is_missing(survey, monkeypatch):
    monkeypatch.setattr(torch.nn.GELU, 'forward', lambda self, x: torch.sin(x))
    row = survey.surveyed('VisionTransformer')
    assert 'no integer rule for torch.sin' in row['what is missing']
    assert not row['dB']
