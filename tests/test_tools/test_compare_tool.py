"""tools/compare.py: its options, its exit status, and several processes."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iptq_mm.engine.sweep import results as sweep_results

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/compare.py'
LISTS = sorted((ROOT / 'configs/_compare_').glob('*.py'))

pytestmark = pytest.mark.usefixtures('one_thread')

SETTINGS = [
    dict(name='eight bits'),
    dict(name='bad', options={'train_dataloader.dataset.data_prefix': 'nowhere'}),
    dict(name='four bits', options={'quantization.weight.bits': 4}),
]


@pytest.fixture
def settings(vit_run, tmp_path):
    path = tmp_path / 'some.py'
    path.write_text(f'base = {vit_run.config!r}\nsettings = {SETTINGS}')
    return path


@pytest.fixture
def quick(vit_run, monkeypatch):
    """Runs give the tiny ViT's results at once."""
    results = vit_run.results
    monkeypatch.setattr(sweep_results, 'quantize_and_compare', lambda *_, **__: results)


def lines_of(folder):
    return list(csv.DictReader((folder / 'table.csv').open()))


def test_options(tool, quick, settings, tmp_path):
    code, out, _ = tool(settings, '--list')
    assert code == 0
    assert out.splitlines() == [f'{"not run":8} {s["name"]}' for s in SETTINGS]
    assert not (tmp_path / 'work_dirs').exists()
    code, out, _ = tool(settings, '--only', 'eight*', 'four bits', '--keep')
    folder = tmp_path / 'work_dirs/compare/some'
    assert code == 0 and '[2/2] four bits: accuracy/top1' in out
    assert 'written to work_dirs/compare/some/table.md' in out
    assert [line['state'] for line in lines_of(folder)] == ['done', 'not run', 'done']
    assert (folder / 'runs/eight-bits/setting.py').exists()
    table = (folder / 'table.md').read_text()
    command = f"python tools/compare.py {settings} --only 'eight*' 'four bits' --keep"
    assert f'Made by `{command}`' in table
    code, out, _ = tool(settings, '--list')
    assert [line.split()[0] for line in out.splitlines()] == ['done', 'not', 'done']


def test_failed_row_is_the_exit_status(tool, settings, tmp_path):
    code, out, _ = tool(settings, '--only', 'bad', '--out-dir', 'there')
    assert code == 1 and 'calibration images cannot be read' in out
    assert lines_of(tmp_path / 'there')[1]['state'] == 'failed'
    code, out, _ = tool(settings, '--list', '--out-dir', 'there', '--only', 'bad')
    assert code == 0 and out == 'failed   bad\n'


def test_mistakes(tool, settings, tmp_path):
    def said(*arguments):
        ran = tool(*arguments)
        assert ran.code == 1 and not (tmp_path / 'work_dirs').exists()
        return ran.mistake

    assert 'no list of settings nothing.py' in said('nothing.py')
    assert 'no checkpoint no.pth' in said(settings, '--checkpoint', 'no.pth')
    assert "no setting fits 'six'" in said(settings, '--only', 'six')
    settings.write_text('settings = [dict(title=1)]')
    assert "setting 0 has no key 'title'; known are ['name'" in said(settings)


def test_jobs_of_none(tool, settings):
    with pytest.raises(SystemExit):
        tool(settings, '--jobs', 0)


@pytest.mark.slow
def test_two_jobs_give_the_same_as_one(tool, settings, tmp_path):
    """The same rows, up to times, in the order of the list."""
    codes = [
        tool(settings, '--jobs', jobs, '--out-dir', f'out{jobs}')[0] for jobs in (1, 2)
    ]
    assert codes == [1, 1]
    one, two = (lines_of(tmp_path / f'out{jobs}') for jobs in (1, 2))
    assert [line['state'] for line in one] == ['done', 'failed', 'done']
    for a, b in zip(one, two, strict=True):
        assert {k for k in a if a[k] != b[k]} <= {k for k in a if 'seconds' in k}
    assert float(one[2]['sqnr_db']) < float(one[0]['sqnr_db'])


@pytest.mark.slow
def test_ended_processes(settings, tmp_path):
    """One that is killed is a failed row; all end with the tool."""
    command = [sys.executable, TOOL, settings, '--out-dir', tmp_path, '--jobs', '2']
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    tool = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    children = Path(f'/proc/{tool.pid}/task/{tool.pid}/children')
    try:
        workers = _until(lambda: _workers(children), 2)
        os.kill(workers[0], signal.SIGKILL)
        _until(lambda: [line for line in _states(tmp_path) if line == 'failed'], 1)
        others = _until(lambda: _workers(children), 1)
        tool.send_signal(signal.SIGTERM)
        tool.wait(30)
    finally:
        tool.kill()
    assert tool.returncode == 143
    assert not any(Path(f'/proc/{worker}').exists() for worker in others)
    errors = [line['error'] for line in lines_of(tmp_path)]
    assert any('its process ended with status -9, see' in error for error in errors)


def _workers(children):
    return [int(pid) for pid in children.read_text().split()]


def _states(folder):
    path = folder / 'table.csv'
    return [line['state'] for line in lines_of(folder)] if path.exists() else []


def _until(found, count, seconds=60):
    """What is found once there is enough of it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        values = found()
        if len(values) >= count:
            return values
        time.sleep(0.05)
    raise AssertionError(f'not enough after {seconds} s: {values}')


@pytest.mark.data
@pytest.mark.parametrize('path', LISTS, ids=lambda path: path.stem)
def test_shipped_lists(tool, path, monkeypatch):
    data = Path(os.environ.get('IPTQ_MM_DATA', ROOT / '../shared')).resolve()
    if not (data / 'weights').is_dir():
        pytest.skip(f'no weights in {data}: set IPTQ_MM_DATA to a folder with them')
    monkeypatch.setenv('IPTQ_MM_DATA', str(data))
    monkeypatch.chdir(ROOT)
    code, out, err = tool(path, '--list', '--out-dir', 'nowhere')
    assert code == 0, err
    names = [line[9:] for line in out.splitlines()]
    assert len(names) == len(set(names)) > 5
