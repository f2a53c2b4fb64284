"""Opening the library: which file, which instruction set, and when it is refused."""

import subprocess

import pytest

from iptq_mm.native import build, library


def compiled(target, sources, signature):
    """A library of nothing but the description of the commands."""
    flags = ['-std=c++17', '-fPIC', '-shared', '-fvisibility=hidden', f'-I{sources}']
    flags.append(f'-DIPTQ_SIGNATURE="{signature}"')
    source = str(sources / 'layout.cpp')
    subprocess.run([build.compiler(), *flags, source, '-o', str(target)], check=True)
    return target


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Where the library is installed: nothing is there yet."""
    monkeypatch.setattr(library, 'INSTALLED', tmp_path / 'installed.so')
    return tmp_path / 'installed.so'


def test_a_library_of_other_sources_is_refused(installed):
    compiled(installed, build.SOURCES, '0123456789abcdef')
    with pytest.raises(library.NativeError) as raised:
        library.open_library()
    for part in (str(installed), '0123456789abcdef', build.signature()):
        assert part in str(raised.value)
    assert 'Install the package again, or delete the file' in str(raised.value)


def test_a_library_without_a_signature_is_refused(installed, tmp_path):
    (tmp_path / 'old.cpp').write_text('extern "C" int iptq_level() { return 0; }')
    command = [build.compiler(), '-shared', '-fPIC', str(tmp_path / 'old.cpp')]
    subprocess.run([*command, '-o', str(installed)], check=True)
    with pytest.raises(library.NativeError, match='compiled from other sources'):
        library.open_library()


def test_swapped_fields_of_the_library_are_refused(installed, tmp_path):
    sources = tmp_path / 'src'
    sources.mkdir()
    for path in (p for p in build.SOURCES.iterdir() if p.is_file()):
        text = path.read_text()
        swapped = text.replace('i64 rows, size;', 'i64 size, rows;')
        (sources / path.name).write_text(swapped)
    # The signature is that of the sources before somebody swapped the fields.
    compiled(installed, sources, build.signature())
    wrong = 'LayerNorm.rows: 32 i64 in Python, 40 i64 in C\\+\\+; LayerNorm.size: 40'
    with pytest.raises(library.NativeError, match=wrong):
        library.open_library()


def test_the_environment_chooses_the_instruction_set(monkeypatch):
    previous = library.level()
    for name in library.levels():
        monkeypatch.setenv(library.ISA_VARIABLE, name)
        library.open_library()
        assert library.level() == name
    library.use_level(previous)


def test_unknown_instruction_sets_are_named():
    with pytest.raises(library.NativeError, match="'sse9': one of portable"):
        library.use_level('sse9')


def test_an_instruction_set_that_is_none(monkeypatch):
    monkeypatch.setenv(library.ISA_VARIABLE, 'abacus')
    with pytest.raises(library.NativeError, match="no instruction set 'abacus'"):
        library.open_library()
