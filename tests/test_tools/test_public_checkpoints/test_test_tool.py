"""tools/test.py: mm's test script for models of both packages."""

import json
from pathlib import Path

import mmengine
import numpy as np
import pytest
import tiny_runs

TOOL = Path(__file__).parents[3] / 'tools/test.py'

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('one_thread')]


def metrics(folder):
    (written,) = Path(folder).glob('*/*.json')
    return json.loads(written.read_text())


def assert_same(found, expected):
    """To the last bit of float32: results.json writes these in the shortest form."""
    assert expected
    for key, value in expected.items():
        assert np.float32(found[key]) == np.float32(value), key


def test_integers(tool, run):
    integer = run.folder / 'integer'
    arguments = [f'{integer}.py', f'{integer}.pth', '--out', 'there/a.pkl']
    ran = tool(*arguments, '--work-dir', 'tested')
    assert ran.code == 0, ran.err
    assert tiny_runs.same(mmengine.load('there/a.pkl'), run.predictions)
    expected, found = run.results['integer'], metrics('tested')
    assert_same(found, expected)


def test_floats(tool, vit_run):
    assert tool(vit_run.config).code == 0
    found = metrics(f'work_dirs/{Path(vit_run.config).stem}')
    expected = vit_run.results['float']
    assert_same(found, expected)


def test_mistakes(tool, vit_run):
    config = vit_run.config
    assert 'there is no config a.py' in tool('a.py').mistake
    assert 'there is no checkpoint a.pth' in tool(config, 'a.pth').mistake
    assert '--out a.json: the file has to be' in tool(config, '--out', 'a.json').mistake
    without = tool(config, '--cfg-options', 'test_evaluator=None').mistake
    assert 'has no test_evaluator: nothing could be evaluated' in without
    integers = vit_run.folder / 'integer.pth'
    assert 'which is a float module' in tool(config, integers).mistake
    nowhere = 'test_dataloader.dataset.data_prefix=nowhere'
    said = tool(config, '--cfg-options', nowhere).mistake
    assert 'the evaluation images cannot be read' in said
