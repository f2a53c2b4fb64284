"""The tables of a comparison, as Markdown and as CSV."""

import csv
import io

import pytest
from sweep_cases import TWO, figures

from iptq_mm.engine.sweep import write_csv, write_markdown

pytestmark = pytest.mark.usefixtures('one_thread')


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
