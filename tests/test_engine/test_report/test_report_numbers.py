"""The report shows what the run wrote, to the last digit, and needs nothing else."""

import html.parser
import json
import re
import shutil

import pytest
import torch

from iptq_mm.calibration import ConfigError
from iptq_mm.criteria import CandidateErrors
from iptq_mm.engine.report import (
    page,
    try_report,
    work_dir,
    write_comparison,
    write_report,
)
from iptq_mm.plan import load_plan
from iptq_mm.registry import CRITERIA

pytestmark = pytest.mark.usefixtures('one_thread')


class Page(html.parser.HTMLParser):
    """Tables and scripts of a page.

    Attributes:
        tables: Rows of cells (attributes and text), by id of the table.
        scripts: Text of the scripts that hold JSON, by id.
        outside: Addresses that something of the page names.
    """

    def __init__(self, text):
        super().__init__()
        self.tables, self.scripts, self.outside = {}, {}, []
        self._rows = self._script = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.outside += [
            v
            for k, v in attrs
            if k in ('src', 'href') and not v.startswith(('#', 'data:'))
        ]
        if tag == 'table':
            self._rows = self.tables.setdefault(given.get('id'), [])
        elif tag == 'tr' and self._rows is not None:
            self._rows.append([])
        elif tag in ('td', 'th') and self._rows is not None:
            self._rows[-1].append([given, ''])
        elif tag == 'script':
            self._script = given.get('id', '')

    def handle_data(self, data):
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, '') + data
        elif self._rows and self._rows[-1]:
            self._rows[-1][-1][1] += data

    def handle_endtag(self, tag):
        if tag == 'table':
            self._rows = None
        elif tag == 'script':
            self._script = None


@pytest.fixture
def report(run):
    """The page that each run wrote."""
    return Page((run.folder / 'report.html').read_text())


def test_a_run_writes_its_report(run, report):
    assert (run.folder / 'report.html').stat().st_size < 3e6
    assert report.outside == []


def test_numbers_are_those_of_the_results(run, report):
    text = (run.folder / 'results.json').read_text()
    assert json.loads(report.scripts['results']) == json.loads(text)
    rows = report.tables['metrics'][1:]
    assert [row[0][1] for row in rows] == list(run.results['integer'])
    for (_, name), (given, shown), (_, integer), _ in rows:
        assert given['data-metric'] == 'float'
        assert shown == json.dumps(run.results['float'][name])
        assert integer == json.dumps(run.results['integer'][name])


def test_every_layer_is_a_row(run, report):
    plans = load_plan(run.folder / 'plan.json')
    rows = {row[1][1]: row for row in report.tables['sites'][1:]}
    expected = [f'{r}:{s}' for r, plan in plans.items() for s in plan.sites]
    assert list(rows) == expected
    measured = json.loads((run.folder / 'measured.json').read_text())['sites']
    for region, plan in plans.items():
        for site, decided in plan.sites.items():
            name = f'{region}:{site}'
            cells = [text for _, text in rows[name]]
            assert cells[2] == decided.operation
            assert cells[4] == str(decided.output.code_bits)
            assert cells[3] == run.results['assignment'].get(name, '')
            assert cells[6] == f'{measured[name]["sqnr_db"]:.2f}'
            share = run.results['saturation'].get(name, 0.0)
            assert float(rows[name][9][0]['data-value']) >= share


def test_histograms_are_those_of_calibration(run, report):
    state = torch.load(run.folder / 'calibration.pth', weights_only=True)
    plans = load_plan(run.folder / 'plan.json')
    for site in json.loads(report.scripts['data'])['sites']:
        seen = state['records'][site['region']]['values'][site['site']]
        drawn = site['calibrated']
        assert sum(drawn['counts']) == drawn['count'] == seen['count']
        assert (drawn['low'], drawn['high']) == (seen['minimum'], seen['maximum'])
        q = plans[site['region']].sites[site['site']].output
        assert site['range']['high'] == q.scale * q.qmax


def test_the_score_that_decided_is_that_of_the_chosen_one(vit_run):
    data = json.loads(
        Page((vit_run.folder / 'report.html').read_text()).scripts['data']
    )
    assert data['criterion'] == 'output_error'
    given = json.loads((vit_run.folder / 'results.json').read_text())
    criterion = CRITERIA.build(dict(given['quantization']['criterion']))
    state = torch.load(vit_run.folder / 'calibration.pth', weights_only=True)
    tried = [site for site in data['sites'] if site['candidates']]
    assert tried
    for site in tried:
        known = state['records'][site['region']]['candidates'][site['site']]
        errors = {n: CandidateErrors.from_dict(e) for n, e in known.items()}
        (chosen,) = [c for c in site['candidates'] if c['chosen']]
        assert chosen['name'] == criterion.choose(site['kind'], errors)
        for candidate in site['candidates']:
            score = criterion.score(errors[candidate['name']])
            assert candidate['score'] == score <= 0


def test_text_of_the_user_is_text(vit_run, tmp_path):
    folder = copied(vit_run, tmp_path)
    results = json.loads((folder / 'results.json').read_text())
    results['warnings'] = ['<img src=x onerror=alert(1)> & </script><b>']
    (folder / 'results.json').write_text(json.dumps(results))
    text = write_report(folder).read_text()
    assert '<img src=x' not in text and '&lt;img src=x' in text
    assert text.count('</script>') == len(re.findall(r'<script[ >]', text))
    assert json.loads(Page(text).scripts['results']) == results


def copied(run, tmp_path):
    """A work dir to change."""
    return shutil.copytree(run.folder, tmp_path / 'copy')


def test_what_is_not_there_is_said(vit_run, tmp_path):
    folder = copied(vit_run, tmp_path)
    (folder / 'calibration.pth').write_bytes(b'damaged')
    (folder / 'measured.json').unlink()
    text = write_report(folder).read_text()
    said = text[text.index('id="missing"') :]
    assert 'calibration.pth cannot be read' in said
    assert 'measured.json is not there' in said
    assert 'tools/audit.py' in said
    data = json.loads(Page(text).scripts['data'])
    assert all(s['sqnr_db'] is None and 'calibrated' not in s for s in data['sites'])


def test_what_another_model_left_is_not_shown(vit_run, tmp_path):
    folder = copied(vit_run, tmp_path)
    measured = json.loads((folder / 'measured.json').read_text())
    (folder / 'measured.json').write_text(json.dumps({**measured, 'digest': 'other'}))
    text = write_report(folder).read_text()
    assert 'measured.json is of another model' in text


def test_results_of_earlier_versions(vit_run, tmp_path):
    """They do not say what they are of."""
    folder = copied(vit_run, tmp_path)
    results = json.loads((folder / 'results.json').read_text())
    later = ('bits', 'bytes', 'checkpoint', 'config', 'digest', 'images', 'numbers')
    for key in (*later, 'quantization'):
        del results[key]
    (folder / 'results.json').write_text(json.dumps(results))
    rows = Page(write_report(folder).read_text()).tables['metrics'][1:]
    assert rows[0][2][1] == json.dumps(results['integer'][rows[0][0][1]])


def test_damaged_results_are_a_mistake(vit_run, tmp_path):
    folder = copied(vit_run, tmp_path)
    (folder / 'results.json').write_text('{"float": ')
    with pytest.raises(ConfigError, match='results.json is damaged'):
        write_report(folder)
    with pytest.raises(FileNotFoundError, match='no results.json'):
        write_report(tmp_path)


def test_a_report_that_fails_fails_no_run(vit_run, tmp_path, monkeypatch, caplog):
    def fail(*_, **__):
        raise ZeroDivisionError('no template')

    folder = copied(vit_run, tmp_path)
    monkeypatch.setattr(page, 'render', fail)
    warned = []
    monkeypatch.setattr(page, 'print_log', lambda *args: warned.append(args[0]))
    assert try_report(folder) is None
    assert 'ZeroDivisionError: no template' in warned[0]


def test_comparison(vit_run, swin_run, tmp_path):
    path = write_comparison([vit_run.folder, swin_run.folder], tmp_path / 'both.html')
    made = Page(path.read_text())
    assert path.stat().st_size < 3e6 and made.outside == []
    for cell, shown in made.tables['metrics'][1][1:]:
        run = vit_run if 'vit' in cell['data-run'] else swin_run
        value = run.results[cell['data-metric']]['accuracy/top1']
        assert shown.strip() == json.dumps(value)
    sites = json.loads(made.scripts['data'])['sites']
    counted = [sum(s['bits'][i] is not None for s in sites) for i in range(2)]
    assert counted == [
        sum(len(p.sites) for p in load_plan(r.folder / 'plan.json').values())
        for r in (vit_run, swin_run)
    ]


def test_a_verdict_is_no_praise_of_bad_results(vit_run, tmp_path):
    folder = copied(vit_run, tmp_path)
    (folder / work_dir.AUDIT_FILE).write_text(
        json.dumps({'holds': False, 'findings': ['x'], 'outside': []})
    )
    text = write_report(folder).read_text()
    assert 'Do not ship this.' in text and 'The audit does not hold' in text
