"""The table of runtimes, and the tool that makes it."""

import json
import shutil
from pathlib import Path

import pytest
import scripts

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.runtimes import table
from iptq_mm.engine.runtimes.adapters import RUNTIMES, Tvm
from iptq_mm.engine.runtimes.table import (
    digest_of,
    joined_rows,
    model_text,
    rows_text,
    runtime_rows,
    with_table,
)

TOOL = Path(__file__).parents[3] / 'tools/runtimes.py'
EXACT = dict(kind='exact')


def test_all_of_them_are_in_the_list():
    assert list(RUNTIMES)[0] == 'IREE' and len(RUNTIMES) == 11
    for runtime in RUNTIMES.values():
        assert runtime.__doc__ and runtime.name


def model(whole, operators=(), tried=3):
    return dict(
        model='m',
        whole=whole,
        operators=list(operators),
        tried=tried,
        kinds=3,
        known_operators=['Gather', 'GatherElements', 'Not'],
    )


def test_words():
    assert model_text(dict(model='m', whole=EXACT, operators=[])) == 'exact'
    differs = dict(kind='differs', differ=2, count=6, largest=40)
    assert model_text(model(differs)) == (
        '2 of 6 outputs differ, by up to 40; takes each operator by itself'
    )
    operators = [
        dict(operator='Mul of int32', kind='differs', largest=2**62),
        dict(operator='Mul of int32', kind='differs', largest=3),
        dict(operator='Cast of int32 to int64', kind='refused', reason='no'),
        dict(operator='MatMul of int64', kind='ended', status=-6),
    ]
    refused = dict(
        kind='refused', reason='NotImplementedError: GatherElements_7 is missing'
    )
    assert model_text(model(refused, operators, tried=2)) == (
        'does not take the model (at GatherElements); does not take Cast of int32 to '
        'int64, MatMul of int64; errs in Mul of int32 (by up to 4.6e+18); 1 of 3 kinds '
        'of nodes not tried in time'
    )
    assert model_text(model(dict(kind='late'))).startswith('not ready in time; ')
    assert 'takes' not in model_text(model(dict(kind='late'), tried=0))
    some = model_text(model(dict(kind='late'), tried=2))
    assert some.startswith('not ready in time; takes those that were tried; 1 of 3')


def test_only_what_is_not_exact_is_taken_apart(small, monkeypatch):
    asked = []

    def results_of(name, cases, seconds):
        asked.append((name, [case.label for case in cases]))
        if cases[0].label != 'small':
            return [EXACT] * (len(cases) - 1) + [dict(kind='refused', reason='no')]
        bad = dict(kind='differs', differ=1, count=4, largest=2)
        return [EXACT if name == 'ONNX Runtime' else bad]

    def version(self):
        return '1.2'

    monkeypatch.setattr(table, 'results_of', results_of)
    monkeypatch.setattr(Tvm, 'version', version)
    said = []
    rows = runtime_rows([small], ['ONNX Runtime', 'TVM'], 60, said.append)
    assert [name for name, _ in asked] == ['ONNX Runtime', 'TVM', 'TVM']
    last = asked[-1][1][-1]
    (good,), (bad,) = rows[0]['models'], rows[1]['models']
    own = digest_of(small)
    assert good == dict(model='small', digest=own, whole=EXACT, operators=[])
    assert [o['operator'] for o in bad['operators']] == [last]
    text = f'1 of 4 outputs differ, by up to 2; does not take {last}'
    assert said[1] == f'TVM 1.2, small: {text}'
    assert rows_text(rows).endswith(f'| TVM | 1.2 | {text} |')


def test_rows_of_several_runs_are_joined(small):
    def row(name, **result):
        model = dict(model='small', digest=digest_of(small), whole=result)
        return dict(name=name, version='1', models=[model | {'operators': []}])

    earlier = [row('TVM', kind='exact'), row('ONNX Runtime', kind='late')]
    made = joined_rows([row('ONNX Runtime', kind='exact')], earlier, [small])
    assert [x['name'] for x in made] == ['TVM', 'ONNX Runtime']
    assert made[1]['models'][0]['whole'] == EXACT
    earlier[0]['models'][0]['digest'] = 'another'
    with pytest.raises(ConfigError, match='the row of TVM is of another file small'):
        joined_rows([], earlier, [small])


def test_a_page_gets_the_table():
    text = '| runtime | version | vit |\n| --- | --- | --- |\n| TVM | 1 | exact |'
    page = 'Before.\n\n| runtime | version |\n| --- | --- |\n| old | 1 |\n\nAfter.\n'
    made = with_table(page, text + '\n')
    assert made == f'Before.\n\n{text}\n\nAfter.\n'
    assert with_table(made, text) == made
    with pytest.raises(ConfigError, match='the page has no table'):
        with_table('Nothing.', text)


def test_mistakes(small, tmp_path):
    with pytest.raises(ConfigError, match="no runtime 'Tvm': there are"):
        runtime_rows([small], ['Tvm'], 60, print)
    shutil.copy(small, tmp_path / 'm.onnx')
    with pytest.raises(ConfigError, match='m_check.npz is missing: tools/export.py'):
        runtime_rows([tmp_path / 'm.onnx'], ['TVM'], 60, print)


@pytest.mark.slow
def test_tool(small, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    tool = scripts.runner(scripts.as_module(TOOL), monkeypatch, capsys)
    monkeypatch.delenv('NODE_PATH', raising=False)
    names = ['ONNX Runtime', 'onnxruntime-web']
    code, out, _ = tool(small, '--runtimes', *names, '--json', 'rows.json')
    assert code == 0 and '| ONNX Runtime | ' in out and ' | exact |' in out
    missing = 'not installed: npm install onnxruntime-web'
    assert f'| onnxruntime-web | {missing}' in out
    (tmp_path / 'page.md').write_text('Before.\n\n| runtime | version |\n\nAfter.\n')
    arguments = small, '--also', 'rows.json', '--out', 't.md', '--page', 'page.md'
    assert tool(*arguments, '--runtimes')[0] == 0
    text = (tmp_path / 't.md').read_text()
    assert text.count(' | exact |') == 1 and text.count('not installed') == 1
    assert (tmp_path / 'page.md').read_text() == f'Before.\n\n{text}\nAfter.\n'
    assert len(json.loads((tmp_path / 'rows.json').read_text())) == 2
    ran = tool('missing.onnx', '--runtimes', names[0])
    assert ran.code == 1 and 'missing.onnx is missing' in ran.mistake
