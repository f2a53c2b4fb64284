"""tools/paper_tables.py and tools/paper_figures.py on a tiny classifier."""

from collections import Counter
from pathlib import Path

import pytest
import scripts

TOOLS = Path(__file__).parents[3] / 'tools'
TOOL = TOOLS / 'paper_figures.py'

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def tables(monkeypatch, capsys):
    module = scripts.as_module(TOOLS / 'paper_tables.py')
    return scripts.runner(module, monkeypatch, capsys)


def test_table(tables, vit_run, tmp_path):
    ran = tables(vit_run.folder, '--out', tmp_path / 'table.md')
    assert ran.code == 0 and (tmp_path / 'table.md').read_text() == ran.out
    header, _, row = ([c.strip() for c in x.split('|')] for x in ran.out.splitlines())
    cells = zip(header, row, strict=True)
    found = {name.split(': ')[1]: int(n) for name, n in cells if n.isdigit()}
    assert found == Counter(vit_run.results['assignment'].values())
    assert 'has no plan.json' in tables(tmp_path).mistake


def test_pictures(tool, vit_run):
    ran = tool('layers', vit_run.config, vit_run.folder, '--images', 1, '--asqnr')
    assert ran.code == 0 and ran.out.count('written: ') == 3
    ran = tool(
        *('histogram', vit_run.config, vit_run.folder),
        *('--site', '0.attn/softmax', '--images', 1, '--split', 'calibration'),
    )
    assert ran.code == 0
    assert Path(ran.out.split('written: ')[1].strip()).parent == vit_run.folder


def test_mistakes(tool, vit_run, tmp_path):
    ran = tool('histogram', vit_run.config, vit_run.folder, '--site', 'layer.0/gelu')
    assert 'did you mean' in ran.mistake
    assert 'has no integer.py' in tool('layers', vit_run.config, tmp_path).mistake
    assert 'there is no config' in tool('layers', 'no.py', vit_run.folder).mistake
    options = ('--checkpoint', 'no.pth')
    ran = tool('layers', vit_run.config, vit_run.folder, *options)
    assert 'there is no checkpoint' in ran.mistake
