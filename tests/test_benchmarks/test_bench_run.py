"""benchmarks/run.py from the command line to its files."""

import json
from pathlib import Path

import pytest
import scripts
from bench import machine

TOOL = Path(__file__).parents[2] / 'benchmarks/run.py'

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs it in this process; exit code, output and error output."""
    module = scripts.as_module(TOOL)
    monkeypatch.setattr(module, 'prepare_process', lambda threads: None)
    # It may have to be compiled first, which is tested elsewhere.
    monkeypatch.setattr(machine, '_native_level', lambda: 'not asked')
    return scripts.runner(module, monkeypatch, capsys)


@pytest.mark.slow
def test_table_and_data(run, tiny_config, tmp_path):
    out = tmp_path / 'results.json'
    case = f'{tiny_config}:32x32:b1'
    options = ['--rounds', 2, '--turn', 0.001, '--out', out]
    code, printed, err = run(case, '--contenders', 'integer_ref*', *options)
    assert code == 0, err
    data = json.loads(out.read_text())
    assert data['reference'] == 'pytorch' and data['machine']['versions']['torch']
    (done,) = data['cases']
    assert done['case'] == case
    assert {n: len(e['seconds']) for n, e in done['contenders'].items()} == {
        'pytorch': 2,
        'integer_reference': 2,
    }
    written = (tmp_path / 'results.md').read_text()
    assert set(written.splitlines()) <= set(printed.splitlines())  # packages chat
    assert 'integer_reference: ready after' in err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['deit_x'], 'no network'),
        (['deit_t', '--contenders', 'nobody'], 'no contender'),
        (['deit_t', '--rounds', 0], 'at least 1'),
        (['missing.py'], 'no config'),
    ],
)
def test_mistakes(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2 and message in err
