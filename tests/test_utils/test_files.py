"""Files are whole or not there, whatever happens."""

import errno
import logging
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

from iptq_mm.utils.files import (
    atomic_save,
    atomic_write,
    replaced_together,
    try_save,
    write_whole,
)


@pytest.fixture
def small_disk():
    """No file may grow beyond 50 kB, which fails as a full disk does."""
    resource = pytest.importorskip('resource')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


CONTENTS = {
    'one tensor': {'a': torch.zeros(100_000)},
    'many tensors': {'a': [torch.zeros(10) for _ in range(500)]},
    'no tensor': {'a': list(range(100_000))},
}


@pytest.mark.parametrize('what', CONTENTS)
def test_full_disk(tmp_path, small_disk, what):
    path = tmp_path / 'file.pth'
    path.write_text('old')
    with pytest.raises(OSError, match=r'cannot be written \(File too large\).*file\.'):
        atomic_save(CONTENTS[what], path)
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['file.pth']


def test_full_disk_of_a_text(tmp_path, small_disk):
    path = tmp_path / 'file.txt'
    with pytest.raises(OSError, match=r'cannot be written .*file\.txt') as caught:
        atomic_write(path, 'a' * 100_000)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    assert not os.listdir(tmp_path)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / 'folder').touch()
    with pytest.raises(OSError, match='cannot be written .*folder/file'):
        atomic_write(tmp_path / 'folder/file', 'text')


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(RuntimeError, match='^of the writer$'):
        write_whole(tmp_path / 'a', lambda path: _fail('of the writer'))
    assert not os.listdir(tmp_path)


def _fail(message):
    raise RuntimeError(message)


def test_text_is_utf8(tmp_path):
    """Whatever the locale is."""
    code = (
        'import locale, pathlib, sys; from iptq_mm.utils.files import atomic_write\n'
        'assert locale.getpreferredencoding() not in ("utf-8", "UTF-8")\n'
        'atomic_write(sys.argv[1], "B\\u00e4r \\u732b\\n")'
    )
    locale = {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
    path = tmp_path / 'a'
    subprocess.run(
        [sys.executable, '-c', code, path], env={**os.environ, **locale}, check=True
    )
    assert path.read_bytes().decode('utf-8') == 'Bär 猫\n'


def test_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    original = os.replace
    monkeypatch.setattr(os, 'fsync', lambda handle: done.append('to disk'))
    monkeypatch.setattr(
        os, 'replace', lambda a, b: (done.append('named'), original(a, b))
    )
    atomic_write(tmp_path / 'a', 'text')
    assert done == ['to disk', 'named', 'to disk']


def test_threads_write_the_same_file(tmp_path):
    path, all_at_once = tmp_path / 'a', threading.Barrier(8)
    failed, texts = [], [str(n) * 50_000 for n in range(8)]

    def write(text):
        all_at_once.wait()
        try:
            for _ in range(10):
                atomic_write(path, text)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(t,)) for t in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and path.read_text() in texts
    assert os.listdir(tmp_path) == ['a']


def test_everybody_may_read_it(tmp_path):
    (tmp_path / 'usual').touch()
    atomic_write(tmp_path / 'a', 'text')
    assert (tmp_path / 'a').stat().st_mode == (tmp_path / 'usual').stat().st_mode


def test_replaced_together(tmp_path):
    (tmp_path / 'a').write_text('old a')
    (tmp_path / 'c').write_text('old c')
    with replaced_together(tmp_path) as new:
        (new / 'a').write_text('new a')
        (new / 'b').write_text('new b')
        assert (tmp_path / 'a').read_text() == 'old a'
        assert not (tmp_path / 'b').exists()
    texts = {p.name: p.read_text() for p in tmp_path.iterdir()}
    assert texts == {'a': 'new a', 'b': 'new b', 'c': 'old c'}


def test_replaced_together_or_not_at_all(tmp_path):
    (tmp_path / 'a').write_text('old a')
    with pytest.raises(ZeroDivisionError), replaced_together(tmp_path) as new:
        (new / 'a').write_text('new a')
        raise ZeroDivisionError
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {'a': 'old a'}


def test_what_a_killed_process_left(tmp_path):
    with replaced_together(tmp_path) as new:
        left = new
    left.mkdir()
    (left / 'half').touch()
    with replaced_together(tmp_path) as new:
        (new / 'a').touch()
    assert os.listdir(tmp_path) == ['a']


def test_an_aid_that_cannot_be_saved_is_a_warning(tmp_path, caplog):
    (tmp_path / 'file').touch()
    with caplog.at_level(logging.WARNING):
        try_save({}, tmp_path / 'file' / 'state.pth', 'the run goes on')
    assert 'the run goes on' in caplog.text
    try_save({'a': 1}, tmp_path / 'state.pth', 'the run goes on')
    assert torch.load(tmp_path / 'state.pth', weights_only=True) == {'a': 1}
