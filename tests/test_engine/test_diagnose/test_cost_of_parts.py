"""Weights, inputs, function and result of every layer, in words and in the report."""

import json
import re
import shutil
from dataclasses import asdict

import pytest

from iptq_mm.engine.diagnose import diagnose
from iptq_mm.engine.report import write_report
from iptq_mm.engine.report.sensitivity import PARTS, sensitivity, shares
from iptq_mm.utils.files import atomic_write

pytestmark = pytest.mark.usefixtures('one_thread')


def test_every_part_of_every_layer(vit_run, tmp_path):
    folder = shutil.copytree(vit_run.folder, tmp_path / 'run')
    found = diagnose(folder, count=1, parts=True)
    assert all(set(effect.parts) == set(PARTS) for effect in found.effects)
    narrow = {e.site: e.parts for e in found.effects}
    assert all(p['weights'] > 0 for s, p in narrow.items() if 'linear' in s)
    assert all(p['function'] > 0 for s, p in narrow.items() if 'gelu' in s)
    assert not any(p['weights'] for s, p in narrow.items() if 'softmax' in s)
    text = found.text(most=len(found.effects))
    assert 'weights   inputs function   output' in text
    told = re.search(r'Of the errors that all parts make by themselves: (.*)\.$', text)
    assert [x.split()[0] for x in told[1].split(', ')] == list(PARTS)

    assert 'id="alone"' not in write_report(folder).read_text()
    atomic_write(folder / 'diagnosis.json', json.dumps(asdict(found)))
    page = write_report(folder).read_text()
    table = page[page.index('id="alone-table"') :]
    shown = re.findall(r'<tr data-kind', table[: table.index('</table>')])
    assert len(shown) == len(found.effects)
    first = max(found.effects, key=lambda e: e.error)
    assert f'{first.output_db:.2f}' in table

    other = {**asdict(found), 'digest': 'of another model'}
    atomic_write(folder / 'diagnosis.json', json.dumps(other))
    assert 'id="alone"' not in write_report(folder).read_text()


def test_shares():
    even = dict.fromkeys(PARTS, 1.0)
    assert shares([even, even]) == dict.fromkeys(PARTS, 0.25)
    assert shares([{**even, 'weights': 5.0}])['weights'] == 0.625
    assert shares([even, {}]) == {} == shares([])


def test_rows_are_in_the_order_of_execution():
    effects = [
        dict(site='b', kind='linear', error=0.1, parts={}),
        dict(site='a', kind='linear', error=0.0, parts=dict(weights=0.01)),
    ]
    rows = sensitivity(dict(effects=effects), {'a': 0, 'b': 1})
    assert [row['name'] for row in rows] == ['a', 'b']
    assert rows[1]['db'] == 10.0 and rows[0]['db'] is None
    assert rows[0]['parts']['weights'] == {'error': 0.01, 'db': 20.0}
