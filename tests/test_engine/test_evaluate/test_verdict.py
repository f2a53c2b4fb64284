"""A result that is of no use is called so."""

import re

import pytest

from iptq_mm.engine.evaluate.verdict import warnings

GOOD = {
    'float': {'accuracy/top1': 80.15, 'coco/bbox_mAP': 0.4, 'loss': 1.0},
    'integer': {'accuracy/top1': 79.9, 'coco/bbox_mAP': 0.39, 'loss': 0.1},
    'agreement': 0.95,
    'output_sqnr_db': {'head:0': 9.9, 'backbone:0': 23.0},
}


def test_a_good_result():
    assert warnings(GOOD) == []
    assert warnings({}) == []


CASES = {
    'collapsed': (
        {**GOOD, 'integer': {**GOOD['integer'], 'accuracy/top1': 0.0}},
        r'accuracy/top1 is 80.15 in floats and 0 in integers',
    ),
    'collapsed detector': (
        {**GOOD, 'integer': {**GOOD['integer'], 'coco/bbox_mAP': 0.01}},
        'coco/bbox_mAP is 0.4 in floats and 0.01 in integers',
    ),
    'no number': (
        {**GOOD, 'integer': {**GOOD['integer'], 'accuracy/top1': None}},
        'no number in integers',
    ),
    'chance': ({**GOOD, 'agreement': 0.001}, r'agree on the class of 0.1% of the'),
    'noise': (
        {**GOOD, 'output_sqnr_db': {'head:0': -4.0}},
        r'error of output head:0 is larger .*-4.0 dB',
    ),
    'noise that is no number': (
        {**GOOD, 'output_sqnr_db': {'head:0': float('nan')}},
        'head:0',
    ),
}


@pytest.mark.parametrize('name', CASES)
def test_a_useless_result(name):
    results, message = CASES[name]
    (found,) = warnings(results)
    assert re.search(message, found), found


def test_a_float_model_that_knows_nothing_cannot_collapse():
    results = {**GOOD, 'float': {'accuracy/top1': 0.0}, 'integer': {}}
    assert len(warnings(results)) == 1
    results['integer'] = {'accuracy/top1': 0.0}
    assert warnings(results) == []
