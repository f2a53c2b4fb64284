"""Without a place for the library, the reference runs."""

import pwd

import pytest
import torch
from program_cases import equal, integers, vit_program

from iptq_mm.native import build, library
from iptq_mm.program.backends.native.backend import Native
from iptq_mm.program.backends.reference import NodeByNode


def _nobody(uid):
    raise KeyError(f'getpwuid(): uid not found: {uid}')


@pytest.fixture(params=['no home', 'no such home', 'a file for a folder'])
def homeless(request, monkeypatch, tmp_path):
    """A machine on which the library is neither installed nor can be cached."""
    monkeypatch.setattr(library, 'INSTALLED', tmp_path / 'none.so')
    for name in ('HOME', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    if request.param == 'no home':
        monkeypatch.setattr(pwd, 'getpwuid', _nobody)
    elif request.param == 'no such home':
        monkeypatch.setenv('HOME', '/proc/1/no')
    else:
        (tmp_path / 'file').touch()
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    library._opened.cache_clear()
    yield
    monkeypatch.undo()
    library._opened.cache_clear()


def test_it_says_what_to_do(homeless):
    with pytest.raises(build.BuildError, match='as XDG_CACHE_HOME'):
        build.build()
    with pytest.raises(library.NativeError, match='as XDG_CACHE_HOME'):
        library.library()
    assert not library.available()


def test_the_reference_runs(homeless):
    program = vit_program()
    executable = Native().prepare(program, torch.device('cpu'))
    given = integers(program)
    expected = NodeByNode(program, torch.device('cpu')).run(given)
    assert equal(executable.run(given), expected)
