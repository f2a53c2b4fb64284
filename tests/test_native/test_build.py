"""Compiling the library: what goes wrong, and the signature of the sources."""

import shutil

import pytest

from iptq_mm.native import build


@pytest.fixture
def copied_sources(monkeypatch, tmp_path):
    """A copy of the sources in place of them."""
    sources = shutil.copytree(build.SOURCES, tmp_path / 'src')
    monkeypatch.setattr(build, 'SOURCES', sources)
    return sources


def test_no_compiler_is_no_library(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    with pytest.raises(build.BuildError, match=r'no C\+\+ compiler'):
        build.build(tmp_path / 'library.so')


def test_messages_of_the_compiler_are_shown(monkeypatch, tmp_path):
    monkeypatch.setattr(build, '_FLAGS', ['-no-such-flag'])
    with pytest.raises(build.BuildError, match='no-such-flag'):
        build.build(tmp_path / 'library.so')
    assert not list(tmp_path.glob('*.so'))


@pytest.mark.parametrize('name', ['commands.h', 'product/panels.h', 'new/kernel.inl'])
def test_the_signature_knows_all_sources(copied_sources, name):
    before = build.signature()
    path = copied_sources / name
    path.parent.mkdir(exist_ok=True)
    with path.open('a') as file:
        file.write('\n')
    assert build.signature() != before


def test_the_signature_knows_where_sources_lie(copied_sources):
    before = build.signature()
    (copied_sources / 'api.h').rename(copied_sources / 'product' / 'api.h')
    assert build.signature() != before


def test_the_signature_knows_the_flags(monkeypatch):
    before = build.signature()
    monkeypatch.setattr(build, '_FLAGS', [*build._FLAGS, '-O2'])
    assert build.signature() != before


def test_the_signature_leaves_out_what_is_not_compiled(copied_sources):
    before = build.signature()
    (copied_sources / '.api.h.swp').write_bytes(b'an editor is open')
    (copied_sources / 'api.h~').write_text('a backup')
    assert build.signature() == before
