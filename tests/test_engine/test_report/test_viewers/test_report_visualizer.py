"""mmengine's visualizer gets the curves and pictures of a run."""

import json

import pytest
from mmengine.visualization import LocalVisBackend, Visualizer

from iptq_mm.engine.report.viewers import show

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def shown(vit_run, tmp_path):
    """What the local back end keeps of a run: scalars by name, and pictures."""
    visualizer = Visualizer(
        f'report_{tmp_path.name}',
        vis_backends=[dict(type='LocalVisBackend')],
        save_dir=str(tmp_path),
    )
    measured = json.loads((vit_run.folder / 'measured.json').read_text())
    results = dict(vit_run.results, reconstruction=dict(decibels={'a': (3.0, 9.0)}))
    show(visualizer, results, measured, vit_run.folder)
    (backend,) = visualizer._vis_backends.values()
    assert isinstance(backend, LocalVisBackend)
    scalars = {}
    for path in tmp_path.rglob('scalars.json'):
        for line in path.read_text().splitlines():
            kept = json.loads(line)
            step = kept.pop('step')
            for name, value in kept.items():
                scalars.setdefault(name, {})[step] = value
    return scalars, sorted(p.name for p in tmp_path.rglob('*.png')), measured


def test_figures_are_those_of_the_run(shown, vit_run):
    scalars, _, _ = shown
    for name, value in vit_run.results['integer'].items():
        assert scalars[f'integer/{name}'] == {0: value}
    assert scalars['run/agreement'] == {0: vit_run.results['agreement']}
    assert scalars['reconstruction/after_db'] == {0: 9.0}
    assert scalars['seconds/observe'][0] == vit_run.results['seconds']['observe']


def test_a_curve_has_a_step_for_each_layer(shown):
    scalars, _, measured = shown
    levels = [site['sqnr_db'] for site in measured['sites'].values()]
    assert scalars['layers/sqnr_db'] == dict(enumerate(levels))
    assert 3 in scalars['layers/input_sqnr_db']


def test_pictures(shown):
    _, pictures, measured = shown
    assert 'functions_0.png' in pictures
    assert sum('differing' in name for name in pictures) == len(measured['differing'])


def test_a_run_fills_the_visualizer_of_its_config(vit_run):
    folders = [p for p in vit_run.folder.rglob('vis_data') if p.is_dir()]
    text = ''.join(p.read_text() for f in folders for p in f.rglob('*.json'))
    assert '"layers/sqnr_db"' in text and '"run/agreement"' in text
    pictures = {p.name for f in folders for p in f.rglob('*.png')}
    assert 'functions_0.png' in pictures
