"""How many sites got which function."""

import pytest

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.layers import function_table
from iptq_mm.engine.layers.work_dirs import names_of
from iptq_mm.intmath import QParams
from iptq_mm.plan import PlanError, RegionPlan, SitePlan, save_plan


def write(folder, **functions):
    """A plan of two regions; by kind, the functions of its sites."""
    out = QParams(0.1, -8, 7)
    sites = {
        f'{i}/{kind}:0': SitePlan(kind, out, function=function)
        for kind, chosen in functions.items()
        for i, function in enumerate(chosen)
    }
    sites['fc/linear:0'] = SitePlan('linear', out)
    norm = SitePlan('layer_norm', out, function=dict(type='ibert_layernorm'))
    folder.mkdir(parents=True)
    plans = {'backbone': RegionPlan('M', sites=sites), 'neck': RegionPlan('N')}
    plans['neck'].sites['norm/layer_norm:0'] = norm
    save_plan(plans, folder / 'plan.json')
    return folder


def rows(text):
    lines = [[c.strip() for c in line.split('|')[1:-1]] for line in text.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_a_line_for_each_model(tmp_path):
    literal, sound = dict(type='i_gelu', literal=True), dict(type='shift_gelu')
    a = write(tmp_path / 'a', gelu=[literal, literal, sound])
    b = write(tmp_path / 'b', gelu=[sound], softmax=[dict(type='shiftmax')])
    table = rows(function_table([a, b]))
    assert [*table[0]] == [
        'model',
        'GELU: i_gelu',
        'GELU: shift_gelu',
        'Softmax: shiftmax',
        'LayerNorm: ibert_layernorm',
    ]
    assert [[*row.values()] for row in table] == [
        ['a', '2', '1', '', '1'],
        ['b', '', '1', '1', '1'],
    ]


def test_options_tell_forms_of_a_function_apart(tmp_path):
    forms = [dict(type='i_gelu'), dict(type='i_gelu', literal=True)]
    (row,) = rows(function_table([write(tmp_path / 'a', gelu=forms)]))
    assert row['GELU: i_gelu'] == row['GELU: i_gelu(literal=True)'] == '1'


def test_folders_are_called_by_what_tells_them_apart(tmp_path):
    folders = [tmp_path / 'x' / 'run', tmp_path / 'y' / 'run']
    assert [*names_of(folders)] == ['x/run', 'y/run']
    assert [*names_of(folders[:1])] == ['run']
    with pytest.raises(ConfigError, match='run is named twice'):
        names_of([folders[0], tmp_path / 'y' / '..' / 'x' / 'run'])


def test_what_is_no_result_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no plan.json: name a folder'):
        function_table([tmp_path])
    (tmp_path / 'plan.json').write_text('{"backbone": 3}')
    with pytest.raises(PlanError, match='plan.json: not a plan'):
        function_table([tmp_path])
