"""A work dir is writable, and of one run at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.run import work_dir
from iptq_mm.engine.run.work_dir import announce_replacement, held

HOLD = """
import sys, time
from iptq_mm.engine.run.work_dir import held
with held(sys.argv[1]):
    print('held', flush=True)
    time.sleep(60)
"""


@pytest.fixture
def logged(monkeypatch):
    """The lines that were logged."""
    lines = []
    monkeypatch.setattr(work_dir, 'print_log', lambda line, *_: lines.append(line))
    return lines


@pytest.fixture
def other(tmp_path):
    """Another process, which holds the folder."""
    command = [sys.executable, '-c', HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'held\n'
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_one_run_at_a_time(tmp_path, other):
    with (
        pytest.raises(ConfigError, match='another run writes to') as caught,
        held(tmp_path),
    ):
        pass
    message = str(caught.value)
    assert str(tmp_path) in message and f'process {other.pid} on ' in message
    assert '--work-dir' in message
    # A refused run takes nothing from the one that holds it.
    with pytest.raises(ConfigError), held(tmp_path):
        pass


def test_a_process_that_died(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    with held(tmp_path):
        pass


def test_is_free_afterwards(tmp_path):
    for _ in range(2):
        with held(tmp_path / 'made'):
            assert os.listdir(tmp_path / 'made') == [work_dir.LOCK]
        assert not os.listdir(tmp_path / 'made')
    with pytest.raises(ZeroDivisionError), held(tmp_path / 'made'):
        raise ZeroDivisionError
    assert not os.listdir(tmp_path / 'made')


def test_a_run_that_ends_while_the_next_one_looks(tmp_path, monkeypatch):
    """The file that was locked is no longer the one of this name."""
    original, calls = work_dir.fcntl.flock, []

    def flock(handle, operation):
        calls.append(handle)
        if len(calls) == 1:
            (tmp_path / work_dir.LOCK).unlink()
        return original(handle, operation)

    monkeypatch.setattr(work_dir.fcntl, 'flock', flock)
    with held(tmp_path):
        assert len(calls) == 2
        with pytest.raises(ConfigError, match='another run'), held(tmp_path):
            pass


def test_no_locks_on_this_file_system(tmp_path, monkeypatch, logged):
    def flock(handle, operation):
        raise OSError(37, 'No locks available')

    monkeypatch.setattr(work_dir.fcntl, 'flock', flock)
    with held(tmp_path):
        pass
    assert 'cannot be locked (No locks available)' in logged[0]


def test_no_folder(tmp_path):
    (tmp_path / 'file').write_text('kept')
    for folder in ('file', 'file/below'):
        with (
            pytest.raises(ConfigError, match='cannot be written to .*--work-dir'),
            held(tmp_path / folder),
        ):
            pass
    assert (tmp_path / 'file').read_text() == 'kept'


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='no /proc')
def test_no_permission():
    """Root may write nearly everywhere."""
    with (
        pytest.raises(ConfigError, match='/proc/run cannot be written to'),
        held('/proc/run'),
    ):
        pass


def test_replacement_is_announced(tmp_path, logged):
    announce_replacement(tmp_path)
    assert not logged
    for name in ('integer.pth', 'results.json', 'vit.py'):
        (tmp_path / name).touch()
    os.utime(tmp_path / 'integer.pth', (0, 0))
    os.utime(tmp_path / 'results.json', (10**9, 10**9))
    announce_replacement(tmp_path)
    (said,) = logged
    assert f'{tmp_path} holds results of 2001-09-09' in said
    assert '(integer.pth, results.json)' in said


def test_a_finished_run_is_called_finished(tmp_path, logged):
    """Where nothing was kept after its results; a later, interrupted one is not."""
    results, kept = tmp_path / 'results.json', tmp_path / 'calibration.pth'
    results.touch()
    kept.touch()
    os.utime(kept, (10**9, 10**9))
    os.utime(results, (10**9 + 60, 10**9 + 60))
    announce_replacement(tmp_path)  # not to be resumed
    assert len(logged) == 1
    announce_replacement(tmp_path, [kept, tmp_path / 'quantized.pth'])
    assert f'{tmp_path}: the run there is finished' in logged[-1]
    os.utime(kept, (10**9 + 120, 10**9 + 120))
    logged.clear()
    announce_replacement(tmp_path, [kept])
    assert len(logged) == 1 and 'there is finished' not in logged[0]
    results.unlink()
    announce_replacement(tmp_path, [kept])
    assert len(logged) == 1
