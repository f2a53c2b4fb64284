"""What ``setup.py`` does about the C++ library."""

import importlib.util
from pathlib import Path

import pytest
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def packaging(monkeypatch):
    """The module ``setup.py``; it copies no files."""
    spec = importlib.util.spec_from_file_location('iptq_mm_setup', ROOT / 'setup.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(build_py, 'run', lambda self: None)
    return module


def command(packaging, folder):
    made = packaging.BuildWithLibrary(packaging.PlatformDistribution())
    made.build_lib = str(folder)
    return made


def test_the_library_lies_beside_its_loader(packaging, monkeypatch, tmp_path):
    builder, made = packaging.native_builder(), []
    monkeypatch.setattr(packaging, 'native_builder', lambda: builder)
    monkeypatch.setattr(builder, 'build', made.append)
    command(packaging, tmp_path).run()
    inside = builder.INSTALLED.relative_to(ROOT)
    assert made == [tmp_path / inside] and builder.SOURCES.parent.name == 'native'


def test_no_compiler_is_no_harm(packaging, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv('CXX', str(tmp_path / 'none'))
    command(packaging, tmp_path).run()
    said = capsys.readouterr().out
    assert 'no native library' in said and said.count('\n') == 1
    assert not packaging.PlatformDistribution().has_ext_modules()


def test_an_editable_install_has_no_library(packaging, monkeypatch, tmp_path):
    made = command(packaging, tmp_path)
    made.editable_mode = True
    monkeypatch.setattr(packaging, 'native_builder', lambda: pytest.fail('built'))
    made.run()
