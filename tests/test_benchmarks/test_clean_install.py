"""benchmarks/clean_install.py: an installation beside torch alone works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BESIDE = shutil.ignore_patterns(
    '.git', '.venv', 'work_dirs', 'data', 'demo', 'docs', 'tests', 'build', '*.egg-info'
)
#: Ahead of a program, where mm's packages are installed: they cannot be found.
BLOCKED = """
import sys


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('mmcv', 'mmdet', 'mmpretrain'):
            raise ModuleNotFoundError(f'{name} is blocked', name=name)


sys.meta_path.insert(0, Finder())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name.startswith('mm') else find(name)
"""


@pytest.fixture
def clean_install(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    yield __import__('clean_install')
    sys.modules.pop('clean_install', None)


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """A folder with the package as pip installs it, without a compiler."""
    folder = tmp_path_factory.mktemp('installed')
    source = shutil.copytree(ROOT, folder / 'source', ignore=BESIDE, symlinks=True)
    pip = [sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-index']
    done = subprocess.run(
        [*pip, '--no-build-isolation', '--target', str(folder / 'site'), str(source)],
        capture_output=True,
        text=True,
        env={**os.environ, 'CXX': 'no-compiler'},
    )
    assert done.returncode == 0, done.stderr
    return folder / 'site'


@pytest.mark.slow
@pytest.mark.parametrize('name', ['torch', 'timm', 'transformers'])
def test_five_lines(name, clean_install, installed, tmp_path):
    if name != 'torch':
        pytest.importorskip(name)
    code = clean_install.program(name, backend=None)
    done = subprocess.run(
        [sys.executable, '-c', BLOCKED + code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(installed)},
    )
    assert done.returncode == 0, done.stderr
    assert f'{name} {{' in done.stdout and (tmp_path / 'model.pth').is_file()


def test_a_package_of_mm_is_an_error(clean_install, tmp_path):
    (tmp_path / 'mmcv.py').touch()
    done = subprocess.run(
        [sys.executable, '-c', clean_install.ALONE],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{tmp_path}'},
    )
    assert done.returncode == 1 and "are installed, too: ['mmcv'" in done.stderr


def test_requirements_name_no_package_of_mm():
    text = ''.join(
        (ROOT / 'requirements' / f'{name}.txt').read_text()
        for name in ('core', 'runtime')
    )
    lines = [line for line in text.splitlines() if not line.startswith('#')]
    assert not [x for x in lines if 'mmcv' in x or 'mmdet' in x or 'mmpretrain' in x]
