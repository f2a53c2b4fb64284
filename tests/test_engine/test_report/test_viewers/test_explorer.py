"""Node data for Model Explorer: figures of the run, at the nodes of the ONNX file."""

import json
from pathlib import Path

import pytest

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.export.program import export_program
from iptq_mm.engine.report.viewers.explorer import FIGURES, write_node_data
from iptq_mm.plan import load_plan, save_plan

onnx = pytest.importorskip('onnx', reason='pip install -r requirements/optional.txt')

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(params=[(), ('backbone',)], ids=['joined', 'one region'])
def exported(request, vit_run, tmp_path):
    """An ONNX file, and its node data by figure."""
    path = tmp_path / 'vit.onnx'
    config = vit_run.folder / 'integer.py'
    export_program(config, None, path, regions=request.param, shape=(32, 32))
    written = write_node_data(path, vit_run.folder)
    return onnx.load(path), {
        p.name.split('.')[1]: json.loads(p.read_text()) for p in written
    }


def test_every_figure_has_a_file_in_the_documented_form(exported):
    model, data = exported
    assert set(data) == {figure.key for figure in FIGURES}
    for made in data.values():
        ((graph, content),) = made.items()
        assert graph == model.graph.name
        assert set(content) == {'name', 'results', 'gradient'}
        assert all(set(x) == {'value'} for x in content['results'].values())
        stops = [x['stop'] for x in content['gradient']]
        assert stops == sorted(stops) and (stops[0], stops[-1]) == (0, 1)


def test_values_are_those_of_the_run(exported, vit_run):
    model, data = exported
    nodes = {node.name for node in model.graph.node}
    sites = json.loads((vit_run.folder / 'measured.json').read_text())['sites']
    plans = load_plan(vit_run.folder / 'plan.json')
    ((_, levels),) = data['sqnr_db'].items()
    ((_, ranges),) = data['range'].items()
    assert levels['results'] and set(levels['results']) <= nodes
    seen = set()
    for node, result in levels['results'].items():
        scope = node.rpartition('/')[0]
        site = scope if scope in sites else f'backbone:{scope}'
        region, _, name = site.partition(':')
        assert result['value'] == sites[site]['sqnr_db']
        q = plans[region].sites[name].output
        largest = max(abs(q.scale * q.qmin), abs(q.scale * q.qmax))
        assert ranges['results'][node]['value'] == largest
        seen.add(site)
    regions = {site.partition(':')[0] for site in seen}
    here = [s for s in sites if s.partition(':')[0] in regions]
    assert len(seen) >= len(here) - 2  # equal operators of two sites are one


def test_another_run_is_a_mistake(vit_run, swin_run, tmp_path):
    path = tmp_path / 'swin.onnx'
    config = swin_run.folder / 'integer.py'
    export_program(config, None, path, regions=['head'])
    for name in ('plan.json', 'results.json'):
        (tmp_path / name).write_bytes((vit_run.folder / name).read_bytes())
    plans = load_plan(tmp_path / 'plan.json')
    save_plan({'backbone': plans['backbone']}, tmp_path / 'plan.json')
    with pytest.raises(ConfigError, match='has no node of a site'):
        write_node_data(path, tmp_path)
    assert not list(Path(tmp_path).glob('swin.*.json'))
