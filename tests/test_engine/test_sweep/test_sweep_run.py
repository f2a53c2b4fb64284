"""A whole comparison: which rows are measured, again or not, and what fails."""

import pytest
from mmengine.config import Config
from sweep_cases import TWO, row_of, table

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.sweep import Sweep, load_settings, results

pytestmark = pytest.mark.usefixtures('one_thread')


def test_tables_show_what_is_missing(compared, measured, tmp_path):
    notes = "notes = 'About *it*.'"
    assert compared(TWO + notes, patterns=['eight*'])[0]
    assert [line['state'] for line in table(tmp_path)] == ['done', 'not run']
    text = (tmp_path / 'out/table.md').read_text()
    assert text.startswith('# list\n\nMade by `the command` with iptq_mm ')
    assert '\n\nAbout *it*.\n\n| setting | float top-1, % | integer top-1, % |' in text
    assert '| four bits | not run |' in text
    done, said = compared(TWO)
    assert done and len(said) == 1 and said[0].startswith('[1/1] four bits: accuracy')
    assert [line['name'] for line in table(tmp_path)] == ['eight bits', 'four bits']
    assert 'not run' not in (tmp_path / 'out/table.md').read_text()
    assert measured == ['eight-bits', 'four-bits']


def test_resumes_after_an_interruption(compared, measured, tmp_path, monkeypatch):
    run = results.quantize_and_compare

    def interrupted(config, **arguments):
        if measured:
            raise KeyboardInterrupt
        return run(config, **arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(results, 'quantize_and_compare', interrupted)
        compared(TWO)
    assert [line['state'] for line in table(tmp_path)] == ['done', 'not run']
    before = row_of(tmp_path, 'eight-bits')
    assert compared(TWO)[0]
    assert measured == ['eight-bits', 'four-bits']
    assert row_of(tmp_path, 'eight-bits') == before
    assert [line['state'] for line in table(tmp_path)] == ['done', 'done']
    assert compared(TWO) == (True, [])


def test_changed_setting_is_measured_anew(compared, measured, tmp_path):
    compared(TWO)
    before = row_of(tmp_path, 'eight-bits')
    _, said = compared(TWO.replace(': 4', ': 5'))
    assert len(said) == 1 and 'four bits' in said[0]
    assert table(tmp_path)[1]['bits'] == 'W5A8'
    assert row_of(tmp_path, 'eight-bits') == before
    assert measured == ['eight-bits', 'four-bits', 'four-bits']


@pytest.mark.parametrize('error', [OverflowError, ConfigError, RuntimeError])
def test_error_is_a_row(compared, measured, tmp_path, monkeypatch, error):
    def failing(config, **arguments):
        raise error('the first | bad\nthing')

    with monkeypatch.context() as patch:
        patch.setattr(results, 'quantize_and_compare', failing)
        done, said = compared(TWO)
    assert not done and len(said) == 2
    assert all('the first | bad' in line for line in said)
    assert [line['state'] for line in table(tmp_path)] == ['failed', 'failed']
    assert table(tmp_path)[0]['error'] == f'{error.__name__}: the first | bad\nthing'
    text = (tmp_path / 'out/table.md').read_text()
    assert '| four bits | failed |' in text
    assert f'\n- four bits: {error.__name__}: the first | bad thing\n' in text
    assert 'Traceback' in (tmp_path / 'out/logs/four-bits.txt').read_text()
    # Failed rows are tried again.
    assert compared(TWO, patterns=['four bits'])[0]
    assert [line['state'] for line in table(tmp_path)] == ['failed', 'done']


def test_error_in_one_of_two(compared, tmp_path):
    """A real one, which does not disturb the other row."""
    nowhere = {'train_dataloader.dataset.data_prefix': 'nowhere'}
    settings = [dict(name='bad', options=nowhere), dict(name='good')]
    done, said = compared(f'settings = {settings}')
    assert not done
    assert 'the calibration images cannot be read' in said[0]
    assert [line['state'] for line in table(tmp_path)] == ['failed', 'done']


def test_pattern_that_fits_nothing(compared):
    with pytest.raises(ConfigError, match="no setting fits 'six.*there are .'eight b"):
        compared(TWO, patterns=['four*', 'six*'])


def test_work_dirs_are_kept_if_wanted(compared, measured, tmp_path):
    compared(TWO, patterns=['four bits'])
    assert not (tmp_path / 'out/runs').exists()
    compared(TWO, patterns=['eight bits'], keep=True)
    assert (tmp_path / 'out/runs/eight-bits/setting.py').exists()


def test_rows_of_detectors_share_no_visualizer(detector_run, tmp_path, monkeypatch):
    """mmengine keeps those with a name, and the folder of the first run."""
    path = tmp_path / 'list.py'
    rows = "settings = [dict(name='a'), dict(name='b')]"
    path.write_text(f'base = {detector_run.config!r}\n{rows}')
    names = []

    def run(config, **_):
        names.append(Config.fromfile(config).visualizer.name)
        return detector_run.results

    monkeypatch.setattr(results, 'quantize_and_compare', run)
    comparison = Sweep(load_settings(path), tmp_path / 'out', 'command')
    assert comparison.run()
    assert len(set(names)) == 2
