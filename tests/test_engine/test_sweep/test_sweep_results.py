"""Rows of a comparison: what is measured, and what is kept of it."""

import pytest
from sweep_cases import figures, table

from iptq_mm.engine.sweep import Row, Sweep, load_settings, results

pytestmark = pytest.mark.usefixtures('one_thread')


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


def test_row_of_a_detector(detector_run, tmp_path, monkeypatch):
    path = tmp_path / 'list.py'
    path.write_text(f"base = {detector_run.config!r}\nsettings = [dict(name='a')]")
    results = detector_run.results
    monkeypatch.setattr(results, 'quantize_and_compare', lambda *_, **__: results)
    comparison = Sweep(load_settings(path), tmp_path / 'out', 'command')
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


@pytest.mark.parametrize('text', ['{', '[]', '{"name": "a"}', '{"other": 1}'])
def test_damaged_row_is_not_run(tmp_path, text):
    (tmp_path / 'row.json').write_text(text)
    assert Row.read(tmp_path / 'row.json', 'key') is None
    figures().write(tmp_path / 'row.json')
    assert Row.read(tmp_path / 'row.json', 'key') == figures()
    assert Row.read(tmp_path / 'row.json', 'other') is None


def test_scalars_only():
    found = results._scalars({'a': 1.0, 'b': [1.0], 'c': None, 'd': float('nan')})
    assert found == {'a': 1.0}
