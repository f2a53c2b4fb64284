"""tools/report.py: its options, and what it says to wrong input."""

import shutil
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/report.py'


@pytest.fixture
def folder(vit_run, tmp_path):
    return shutil.copytree(vit_run.folder, tmp_path / 'run')


def test_one_run(tool, folder, vit_run):
    path = folder / 'report.html'
    before = path.read_text().replace(str(vit_run.folder), str(folder))
    path.unlink()
    ran = tool(folder)
    assert ran.code == 0 and f'written: {path}' in ran.out
    assert path.read_text() == before


def test_several_runs(tool, folder, vit_run):
    assert tool(folder, vit_run.folder).code == 0
    assert (folder / 'comparison.html').exists()
    assert tool(folder, vit_run.folder, '--out', 'two.html').code == 0
    assert Path('two.html').exists()


def test_mistakes(tool, folder, tmp_path):
    assert 'no results.json' in tool(tmp_path).mistake
    assert 'is named twice' in tool(folder, folder).mistake
    assert '--out is for comparisons' in tool(folder, '--out', 'x.html').mistake
