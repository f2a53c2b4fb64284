"""The report as a user sees it, in a headless Chromium."""

import json
import shutil
from dataclasses import asdict

import browser
import pytest

from iptq_mm.engine.diagnose import diagnose
from iptq_mm.engine.report import write_comparison, write_report
from iptq_mm.utils.files import atomic_write

pytestmark = pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not())


def texts(page, column, table='sites'):
    """Texts of a column of a table, of the rows that are shown."""
    rows = page.locator(f'#{table} tbody tr:visible')
    return rows.evaluate_all(
        '(rows, column) => rows.map((r) => r.cells[column].textContent)', column
    )


def no_complaint(page, path):
    assert page.complaints == []
    # Pictures inside the page are no requests.
    asked = [url for url in page.requests if not url.startswith('data:')]
    assert asked == [path.as_uri()]


def test_tables_sort_and_filter(vit_run):
    path = vit_run.folder / 'report.html'
    with browser.opened(path) as page:
        count = len(texts(page, 0))
        heading = page.locator('#sites th', has_text='lost, dB')
        for direction in ('ascending', 'descending'):
            heading.locator('button').click()
            assert heading.get_attribute('aria-sort') == direction
            lost = [float(x) for x in texts(page, 8) if x != '–']
            assert len(lost) > 5
            assert lost == sorted(lost, reverse=direction == 'descending')
            assert texts(page, 8)[-1] == '–'  # not known: last in both
        page.select_option('[data-table=sites] [data-filter=kind]', 'gelu')
        assert set(texts(page, 2)) == {'gelu'}
        page.fill('[data-table=sites] [data-search]', 'layers.1')
        shown = texts(page, 1)
        assert shown and all('layers.1' in name for name in shown)
        said = page.locator('[data-table=sites] [data-count]').inner_text()
        assert said == f'{len(shown)} of {count}'
        no_complaint(page, path)


def test_a_layer_can_be_linked_to(vit_run):
    path = vit_run.folder / 'report.html'
    with browser.opened(path) as page:
        assert page.locator('#detail').is_hidden()
        link = page.locator('#sites a', has_text='gelu').first
        name = link.inner_text()
        link.focus()
        page.keyboard.press('Enter')
        assert page.locator('#detail h3').inner_text() == name
        assert page.locator('#detail svg').count() == 2
        address = page.url
        page.goto('about:blank')
        page.goto(address)
        assert page.locator('#detail h3').inner_text() == name
        assert page.complaints == []


@pytest.mark.parametrize('width', [360, 1200])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_every_page_is_readable(run, width, scheme):
    path = run.folder / 'report.html'
    with browser.opened(path, width, scheme) as page:
        charts = page.locator('.chart svg')
        assert charts.count() > 4
        names = charts.evaluate_all(
            "(all) => all.map((e) => [e.getAttribute('role'), "
            "e.getAttribute('aria-label')])"
        )
        assert all(role == 'img' and name for role, name in names)
        images = page.locator('main img').evaluate_all(
            '(all) => all.map((e) => [e.alt, e.naturalWidth])'
        )
        assert images and all(alt and size for alt, size in images)
        wide = page.evaluate('document.documentElement.scrollWidth')
        assert wide <= width  # tables scroll in themselves
        worst = page.evaluate(browser.CONTRAST)
        assert worst[0][0] >= 4.5, worst
        no_complaint(page, path)


def test_what_each_layer_costs_by_itself(vit_run, tmp_path):
    """A diagnosis in the work dir adds a section, with a chart and a table."""
    folder = shutil.copytree(vit_run.folder, tmp_path / 'run')
    found = diagnose(folder, count=1, parts=True)
    atomic_write(folder / 'diagnosis.json', json.dumps(asdict(found)))
    path = write_report(folder)
    with browser.opened(path, 360) as page:
        assert page.locator('nav a', has_text='By itself').count() == 1
        assert page.locator('#alone').is_visible()
        heading = page.locator('#alone-table th button', has_text='all of it')
        heading.click()
        shown = [float(x) for x in texts(page, 3, 'alone-table') if x != '–']
        assert len(shown) > 5 and shown == sorted(shown)
        page.select_option('[data-table=alone-table] [data-filter=kind]', 'gelu')
        assert set(texts(page, 2, 'alone-table')) == {'gelu'}
        assert page.evaluate(browser.CONTRAST)[0][0] >= 4.5
        assert page.evaluate('document.documentElement.scrollWidth') <= 360
        no_complaint(page, path)


def test_comparison(vit_run, swin_run, tmp_path):
    path = write_comparison([vit_run.folder, swin_run.folder], tmp_path / 'both.html')
    with browser.opened(path, 360) as page:
        assert page.locator('.chart svg').count() > 1
        page.select_option('[data-table=sites] [data-filter=kind]', 'softmax')
        assert set(texts(page, 1)) == {'softmax'}
        assert page.evaluate(browser.CONTRAST)[0][0] >= 4.5
        assert page.evaluate('document.documentElement.scrollWidth') <= 360
        no_complaint(page, path)
