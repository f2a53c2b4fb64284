"""Comparisons of many settings: lists, rows and tables."""

import copy
import csv
import io
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.compare import (
    Row,
    SettingComparison,
    load_settings,
    write_csv,
    write_markdown,
)
from iptq_mm.engine.compare import rows as rows_module
from iptq_mm.engine.compare.grid import expanded

pytestmark = pytest.mark.usefixtures('one_thread')

TWO = """
settings = [
    dict(name='eight bits'),
    dict(name='four bits', options={'quantization.weight.bits': 4}),
]
"""
FUNCTIONS = dict(
    gelu=[dict(type='shift_gelu')],
    softmax=[dict(type='shiftmax', literal=True)],
    layer_norm=[dict(type='ivit_layernorm')],
)


@pytest.fixture
def listed(vit_run, tmp_path):
    """Loads a list of settings of the tiny ViT."""

    def load(text, base=True, **arguments):
        path = tmp_path / 'list.py'
        head = f'base = {vit_run.config!r}\n' if base else ''
        path.write_text(head + text)
        return load_settings(path, **arguments)

    return load


@pytest.fixture
def refused(listed):
    """What is said about a list that is not possible."""

    def load(text, error=ConfigError, **arguments):
        with pytest.raises(error) as caught:
            listed(text, **arguments)
        return str(caught.value)

    return load


@pytest.fixture
def compared(listed, tmp_path):
    """Compares the settings of a list; what was said about each row."""

    def run(text, **arguments):
        said = []
        comparison = SettingComparison(
            listed(text), tmp_path / 'out', 'the command', said.append
        )
        return comparison.run(**arguments), said

    return run


@pytest.fixture
def measured(vit_run, monkeypatch):
    """Names of the settings that ran; their results are the tiny ViT's."""
    names = []

    def run(config, **arguments):
        names.append(Path(config).parent.name)
        return copy.deepcopy(vit_run.results)

    monkeypatch.setattr(rows_module, 'quantize_and_compare', run)
    return names


def table(tmp_path):
    return list(csv.DictReader((tmp_path / 'out/table.csv').open()))


def row_of(tmp_path, name):
    return json.loads((tmp_path / f'out/rows/{name}.json').read_text())


# Lists of settings


def test_settings_are_merged(listed, vit_run):
    text = f"""
title = 'A title'
_private = 1
settings = [
    dict(name='A b'),
    dict(name='changed', seed=3, candidates={FUNCTIONS},
         options={{'quantization.weight.bits': 4,
                  'quantization.criterion': dict(_delete_=True, type='sqnr')}}),
]"""
    found = listed(text)
    plain, changed = found.settings
    assert found.title == 'A title' and found.notes == '' and plain.slug == 'a-b'
    assert (plain.seed, plain.bits, plain.images) == (7, 'W8A8', 6)
    assert plain.cfg.load_from == vit_run.checkpoint
    assert (changed.seed, changed.bits) == (3, 'W4A8')
    assert changed.cfg.candidates.to_dict() == FUNCTIONS
    assert changed.quantization.criterion == {'type': 'sqnr'}
    assert set(changed.quantization.candidates['gelu']) == {'shift_gelu'}
    assert plain.key != changed.key


def test_options_of_all_settings(listed):
    text = """
options = {'quantization.weight.bits': 6, 'quantization.wide.bits': 12}
settings = [
    dict(name='a'), dict(name='b', options={'quantization.weight.bits': 4})]"""
    a, b = listed(text).settings
    assert (a.bits, b.bits) == ('W6A8', 'W4A8')
    assert a.quantization.wide.bits == b.quantization.wide.bits == 12


def test_candidates_of_a_file(listed, tmp_path):
    (tmp_path / 'few.py').write_text(f'candidates = {FUNCTIONS}')
    path = str(tmp_path / 'few.py')
    (setting,) = listed(f"settings = [dict(name='a', candidates={path!r})]").settings
    assert setting.cfg.candidates.to_dict() == FUNCTIONS


def test_lists_inherit(listed, tmp_path):
    (tmp_path / 'common.py').write_text("settings = [dict(name='a')]\ntitle = 'old'")
    found = listed("_base_ = './common.py'\ntitle = 'new'")
    assert found.title == 'new' and [s.name for s in found.settings] == ['a']


def test_key_is_of_content(listed, vit_run, tmp_path):
    def key(text="settings = [dict(name='a')]", **arguments):
        return listed(text, **arguments).settings[0].key

    other = tmp_path / 'copy.pth'
    other.write_bytes(Path(vit_run.checkpoint).read_bytes())
    assert key() == key(checkpoint=str(other))
    assert key() == key("settings = [dict(name='b')]")
    weights = torch.load(other, weights_only=True)
    weights['state_dict']['backbone.cls_token'] += 1
    torch.save(weights, other)
    assert key() != key(checkpoint=str(other))
    assert key() != key("settings = [dict(name='a', seed=0)]")


def test_grid(listed):
    sizes = {'quantization.calibration.num_images': [2, 4], 'seed': range(2)}
    criteria = [dict(_delete_=True, type='sqnr')]
    named = {'candidates': {'shifts': FUNCTIONS}, 'quantization.criterion': criteria}
    found = listed(f"settings = [dict(name='first')]\ngrid = {[sizes, named]}")
    assert [s.name for s in found.settings] == [
        'first',
        'num_images=2, seed=0',
        'num_images=2, seed=1',
        'num_images=4, seed=0',
        'num_images=4, seed=1',
        'shifts, criterion=sqnr',
    ]
    assert [(s.images, s.seed) for s in found.settings[1:5]] == [
        (2, 0),
        (2, 1),
        (4, 0),
        (4, 1),
    ]
    assert found.settings[5].quantization.criterion == {'type': 'sqnr'}
    assert len({s.key for s in found.settings}) == 6


@given(
    st.dictionaries(
        st.sampled_from(['seed', 'a.x', 'b.x', 'b.y', 'config']),
        st.lists(st.integers(), unique=True, max_size=3),
        max_size=4,
    )
)
def test_grid_is_the_product(grid):
    """Every combination once, each with a name of its own."""
    made = list(expanded(grid))
    count = 1
    for values in grid.values():
        count *= len(values)
    assert len(made) == count
    names = {setting['name'] for setting in made}
    assert len(names) == count
    for setting in made:
        given = {**setting['options'], **setting}
        assert all(given[key] in values for key, values in grid.items())


def test_what_is_wrong_with_a_list(refused, tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no list of settings'):
        load_settings(tmp_path / 'nothing.py')
    assert 'there is nothing to do' in refused('')
    message = refused("setings = [dict(name='a')]")
    assert "no key 'setings'" in message and "'settings'" in message
    message = refused("settings = [dict(name='a', opts={})]")
    assert "setting 0 has no key 'opts'" in message and "'options'" in message
    assert 'setting 0 is a dict, not' in refused("settings = ['a']")
    assert 'setting 1 has no name' in refused("settings = [dict(name='a'), dict()]")
    twice = "settings = [dict(name='a b'), dict(name='A, b')]"
    assert "called 'A, b' and 'a b'" in refused(twice)
    message = refused("settings = [dict(name='a')]", base=False)
    assert "setting 'a': it has no config" in message
    assert "grid['seed'] is a list" in refused("grid = {'seed': 3}")
    assert 'grid is a dict of lists' in refused('grid = [3]')


def test_what_is_wrong_with_a_setting(refused):
    def said(error=ConfigError, **setting):
        message = refused(f'settings = [{dict(name="a", **setting)}]', error)
        assert message.startswith("setting 'a': ")
        return message

    options = {'quantization.wieght.bits': 4}
    assert "no option 'wieght'" in said(options=options)
    message = said(options={'quantisation.weight.bits': 4})
    assert "nothing called 'quantisation.weight.bits'" in message
    assert "'quantization'" in message
    assert 'use 2 to 8' in said(options={'quantization.weight.bits': 9})
    assert 'cannot inherit' in said(options={'log_level.x': 3})
    assert "no integer function 'gelo'" in said(
        candidates={**FUNCTIONS, 'gelu': [dict(type='gelo')]}
    )
    assert 'no integer' in said(seed=0.5)
    assert 'there is no config no.py' in said(FileNotFoundError, config='no.py')
    assert 'there is no config no.py' in said(FileNotFoundError, candidates='no.py')
    assert 'no checkpoint no.pth' in said(FileNotFoundError, checkpoint='no.pth')


# Rows


def test_a_real_row(compared, vit_run, tmp_path):
    """The merged config says the same as the one that it was merged from."""
    assert compared("settings = [dict(name='eight bits')]")[0]
    results = vit_run.results
    (line,) = table(tmp_path)
    for kind in ('float', 'integer'):
        found = float(line[f'{kind} accuracy/top1'])
        assert found == results[kind]['accuracy/top1']
    assert float(line['agreement']) == results['agreement']
    assert float(line['sqnr_db']) == results['output_sqnr_db']['head:0']
    saturated, total = results['saturated_values']
    assert float(line['saturated']) == saturated / total
    assert float(line['cost']) == results['cost'] > 0
    assert (line['bits'], line['seed'], line['calibration_images']) == (
        'W8A8',
        '7',
        '6',
    )
    assert 'torch ' in line['versions'] and not line['error']
    functions = [part.split() for part in line['functions'].split(', ')]
    assert sum(int(n) for _, n in functions) == len(results['assignment'])
    assert not list((tmp_path / 'out').rglob('integer.pth'))


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
    run = rows_module.quantize_and_compare

    def interrupted(config, **arguments):
        if measured:
            raise KeyboardInterrupt
        return run(config, **arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(rows_module, 'quantize_and_compare', interrupted)
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
        patch.setattr(rows_module, 'quantize_and_compare', failing)
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


def test_row_of_a_detector(detector_run, tmp_path, monkeypatch):
    path = tmp_path / 'list.py'
    path.write_text(f"base = {detector_run.config!r}\nsettings = [dict(name='a')]")
    results = detector_run.results
    monkeypatch.setattr(rows_module, 'quantize_and_compare', lambda *_, **__: results)
    comparison = SettingComparison(load_settings(path), tmp_path / 'out', 'command')
    assert comparison.run()
    (line,) = table(tmp_path)
    for kind in ('float', 'integer'):
        for metric in ('coco/bbox_mAP', 'coco/segm_mAP_75'):
            assert float(line[f'{kind} {metric}']) == results[kind][metric]
    assert float(line['sqnr_db']) == min(results['output_sqnr_db'].values())
    assert line['agreement'] == ''
    text = (tmp_path / 'out/table.md').read_text()
    assert 'float box AP, % |' in text and 'integer mask AP, %' in text
    assert 'mAP_75' not in text and 'same top-1' not in text


def test_rows_of_detectors_share_no_visualizer(detector_run, tmp_path, monkeypatch):
    """mmengine keeps those with a name, and the folder of the first run."""
    path = tmp_path / 'list.py'
    rows = "settings = [dict(name='a'), dict(name='b')]"
    path.write_text(f'base = {detector_run.config!r}\n{rows}')
    names = []

    def run(config, **_):
        names.append(Config.fromfile(config).visualizer.name)
        return detector_run.results

    monkeypatch.setattr(rows_module, 'quantize_and_compare', run)
    comparison = SettingComparison(load_settings(path), tmp_path / 'out', 'command')
    assert comparison.run()
    assert len(set(names)) == 2


# Tables


def figures(**changes):
    row = dict(
        floats={'accuracy/top1': 80.153846, 'single-label/recall': 0.5},
        integers={'accuracy/top1': 79.0, 'single-label/recall': 0.25},
        agreement=0.9512345,
        sqnr_db=12.34,
        saturated=0.00001234,
        cost=1234567.0,
        seconds={
            'observe': 1.2,
            'analyse': 3.0,
            'assign and freeze': 0.6,
            'float': 9.0,
            'integer': 20.4,
            'total': 40.0,
        },
        versions={'iptq_mm': '1'},
    )
    return Row('eight bits', 'key', **{**row, **changes})


def test_markdown_numbers(listed):
    text = write_markdown(listed(TWO), [figures(), None], 'c')
    line = next(line for line in text.splitlines() if line.startswith('| eight bits'))
    cells = [cell.strip() for cell in line.strip('|').split('|')]
    assert cells[1:] == [
        '80.15',
        '79.00',
        '-1.15',
        '95.12',
        '12.3',
        '0.0012',
        'W8A8',
        '1.235',
        '5',
        '20',
        '7',
        '6',
    ]
    lines = [line for line in text.splitlines() if line.startswith('|')]
    assert len({line.count('|') for line in lines}) == 1


def test_metrics_that_are_asked_for(listed):
    settings = listed(TWO + "metrics = ['single-label/recall']")
    text = write_markdown(settings, [figures(), figures()], 'c')
    assert 'float single-label/recall' in text and 'top-1, % |' in text
    assert '| 0.5 | 0.25 | -0.25 |' in text and '80.15' not in text


def test_versions_of_all_rows_are_named(listed):
    rows = [figures(), figures(versions={'iptq_mm': '2'})]
    assert 'with iptq_mm 1; or with iptq_mm 2.' in write_markdown(
        listed(TWO), rows, 'c'
    )


def test_csv_is_whole(listed):
    rows = [figures(), figures(error='a "quoted", one\nof two lines')]
    lines = list(csv.DictReader(io.StringIO(write_csv(listed(TWO), rows))))
    assert lines[0]['float accuracy/top1'] == '80.153846'
    assert lines[0]['difference single-label/recall'] == '-0.25'
    assert lines[0]['calibration_seconds'] == '4.8'
    assert lines[1]['error'] == 'a "quoted", one\nof two lines'


@pytest.mark.parametrize('text', ['{', '[]', '{"name": "a"}', '{"other": 1}'])
def test_damaged_row_is_not_run(tmp_path, text):
    (tmp_path / 'row.json').write_text(text)
    assert Row.read(tmp_path / 'row.json', 'key') is None
    figures().write(tmp_path / 'row.json')
    assert Row.read(tmp_path / 'row.json', 'key') == figures()
    assert Row.read(tmp_path / 'row.json', 'other') is None


def test_scalars_only():
    found = rows_module._scalars({'a': 1.0, 'b': [1.0], 'c': None, 'd': float('nan')})
    assert found == {'a': 1.0}
