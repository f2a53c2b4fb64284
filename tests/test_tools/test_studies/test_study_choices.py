"""tools/study_choices.py on a tiny classifier."""

import json
from pathlib import Path

import pytest

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.study import choices
from iptq_mm.engine.study.choices import rule_configs, weight_configs
from iptq_mm.native.library import available

TOOL = Path(__file__).parents[3] / 'tools/study_choices.py'

pytestmark = [
    pytest.mark.usefixtures('one_thread'),
    pytest.mark.skipif(not available(), reason='no native library'),
]


def rows(text):
    """The cells of each row, by its first cell."""
    lines = [x.strip('| ').split(' | ') for x in text.splitlines() if '|' in x]
    return {cells[0]: cells[1:] for cells in lines}


def test_choices(tool, vit_run, monkeypatch):
    monkeypatch.setattr(choices, 'WEIGHTS', ((1, 1, 1), (0, 0, 1)))
    Path('candidates.py').write_text(
        "candidates = dict(gelu=[dict(type='i_gelu'), dict(type='shift_gelu')], "
        "softmax=[dict(type='i_softmax'), dict(type='log_int_softmax')], "
        "layer_norm=[dict(type='ibert_layernorm'), dict(type='ivit_layernorm')])"
    )
    options = ['--work-dir', 'out', '--images', '2', '--candidates', 'candidates.py']
    code, out, _ = tool(vit_run.config, *options)
    assert code == 0 and Path('out/choices.md').read_text() in out
    table = rows(out)
    chosen = json.loads(Path('out/choices.json').read_text())
    assert set(rule_configs()) | set(weight_configs()) <= set(chosen) <= set(table)
    for name, entry in chosen.items():
        sites = [f for s in entry['assignment'].values() for f in s.values()]
        assert len(sites) == 9
        counted = ', '.join(table[name][4:]).split(', ')
        assert sum(int(cell.split()[0]) for cell in counted) == 9
    # By hand: site by site, the best of the output is the least degradation.
    best, difference = 'SQNR of the output', 'SQNR difference, {}, {}, {}'
    site = difference.format('degradation', 'site', 'SQNR')
    assert chosen[best]['assignment'] == chosen[site]['assignment']
    # The cheapest in operations.
    cheapest = chosen['q=0 p=0 c=1, operations']['assignment']['backbone']
    assert set(cheapest.values()) == {'i_gelu', 'i_softmax', 'ivit_layernorm'} or set(
        cheapest.values()
    ) == {'i_gelu', 'log_int_softmax', 'ivit_layernorm'}
    uniform = [name for name in chosen if name.startswith('all sites')]
    assert uniform == ['all sites: i_gelu, i_softmax, ibert_layernorm']
    assert chosen[uniform[0]]['quantization'] is None
    # Nothing is measured twice, but times, which may choose others.
    before = Path('out/effects.jsonl').read_text()
    assert tool(vit_run.config, *options).code == 0
    assert Path('out/effects.jsonl').read_text().startswith(before)


def test_configs_of_rules_are_valid():
    for options in (*rule_configs().values(), *weight_configs().values()):
        read = QuantizationConfig.from_dict({'regions': ['backbone'], **options})
        assert read.analysis == options['analysis']
        assert read.criterion == options['criterion']


def test_wrong_input(tool, vit_run):
    ran = tool(vit_run.config, '--candidates', 'nothing.py')
    assert ran.code == 1 and 'nothing.py' in ran.mistake
