"""Bars on a terminal; plain lines where there is none, and in files."""

import io
import logging

import pytest
from mmengine.logging import MMLogger, print_log

from iptq_mm.engine.quantize.bars import bar
from iptq_mm.engine.quantize.outlook import Outlook
from iptq_mm.engine.quantize.progress import progress_of, watched


class Terminal(io.StringIO):
    """Text that a terminal would show."""

    def isatty(self):
        return True


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """Runs a phase of 20 batches with the log on a stream; its text, and the file's."""
    monkeypatch.setenv('TERM', 'xterm')
    for name in ('FORCE_COLOR', 'TTY_COMPATIBLE', 'TTY_INTERACTIVE', 'NO_COLOR'):
        monkeypatch.delenv(name, raising=False)

    def run(stream, outlook=None):
        path = tmp_path / 'run.log'
        logger = MMLogger.get_instance(tmp_path.name, log_file=str(path))
        (shown,) = [h for h in logger.handlers if type(h) is logging.StreamHandler]
        monkeypatch.setattr(shown, 'stream', stream)
        filters = list(shown.filters)
        for i in progress_of(range(20), 'observe', 20, outlook=outlook):
            if i == 7:
                print_log('a line in between', 'current')
        assert shown.stream is stream and shown.filters == filters
        return stream.getvalue(), path.read_text()

    return run


def test_a_bar_takes_the_place_of_lines_on_a_terminal(logged):
    shown, file = logged(Terminal())
    assert 'observe' in shown and '━' in shown and '100%' in shown
    assert '20/20, 0 s, 0 s left' in shown
    assert 'observe: batch' not in shown  # the bar says it
    assert 'a line in between' in shown and '\x1b' in shown
    lines = [line for line in file.splitlines() if 'observe: batch' in line]
    assert len(lines) == 10 and 'observe: batch 20/20, 0 s, 0 s left' in lines[-1]
    assert 'a line in between' in file
    assert '\x1b' not in file and '━' not in file


def test_lines_where_there_is_no_terminal(logged):
    shown, file = logged(io.StringIO())
    assert shown.count('observe: batch') == file.count('observe: batch') == 10
    assert '━' not in shown


def test_one_bar_at_a_time(logged, monkeypatch):
    """A phase within a phase has lines."""
    logged(Terminal())
    logger = MMLogger.get_current_instance()
    (shown,) = [h for h in logger.handlers if type(h) is logging.StreamHandler]
    monkeypatch.setattr(shown, 'stream', Terminal())
    with bar('outer') as outer:
        assert outer is not None
        with bar('inner') as inner:
            assert inner is None
    with bar('next') as advance:
        assert advance is not None


def test_the_bar_says_how_far_the_run_is(logged):
    outlook = Outlook({'observe': 1.0, 'evaluate': 3.0})
    shown, file = logged(Terminal(), outlook)
    assert 'run: 25%, about 0 s left' in shown and 'run: 25%' in file


def test_a_phase_without_batches_has_a_bar(logged, monkeypatch):
    """Lines go to the file where they are due; the bar moves at every step."""
    logged(Terminal())
    logger = MMLogger.get_current_instance()
    (shown,) = [h for h in logger.handlers if type(h) is logging.StreamHandler]
    stream, lines = Terminal(), []
    monkeypatch.setattr(shown, 'stream', stream)
    monkeypatch.setattr('iptq_mm.engine.quantize.progress.log', lines.append)
    with watched('freeze', Outlook({'freeze': 1.0, 'evaluate': 1.0})) as show:
        show(0.25, 'neck: weight 1/4', False)
        show(1.0, 'neck: 4 weights', True)
    text = stream.getvalue()
    assert 'freeze' in text and '━' in text and '25%' in text and 'weight 1/4' in text
    (line,) = lines
    assert line.startswith('freeze: neck: 4 weights; run: 50%, about ')
