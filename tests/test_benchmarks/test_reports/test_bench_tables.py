"""Tables from plain data."""

import pytest
from bench.reports.tables import case_table, growth, overview, report


def entry(*seconds, **more):
    return {'seconds': list(seconds), 'sqnr': 30.0, 'ready': 2.0, **more}


@pytest.fixture
def case():
    return {
        'case': 'net:32x32:b1',
        'functions': {'table_gelu': 2, 'shiftmax': 1},
        'contenders': {
            'pytorch': entry(0.4, 0.8, 1.6, sqnr=None),
            'peer': entry(0.2, 0.4, 0.4),
            'integer_native': entry(0.1, 0.1, 0.2),
            'absent': {'missing': 'pip install it'},
            'broken': {'wrong': 'not equal', 'sqnr': 1.0, 'ready': 1.0},
        },
    }


def rows(table):
    lines = [line.strip('|').split('|') for line in table.splitlines() if '|' in line]
    return {cells[0].strip(): [c.strip() for c in cells[1:]] for cells in lines}


def test_ratios_are_by_round(case):
    found = rows(case_table(case, 'pytorch'))
    assert found['pytorch'][:2] == ['800.00', '-']
    assert found['peer'][1] == '2.00 / **2.00** / 3.60'  # not 0.8 / 0.4 of medians
    assert found['peer'][2] == '2.00 / **2.00** / 3.60'
    assert found['integer_native'][1] == '4.80 / **8.00** / 8.00'
    assert found['integer_native'][2:] == ['-', '30.0', '2.0']


def test_who_did_not_take_part_says_why(case):
    table = case_table(case, 'pytorch')
    found = rows(table)
    assert found['absent'][0] == '- (pip install it)'
    assert found['broken'][0] == '- (not equal)'
    assert 'Functions: 1 shiftmax, 2 table_gelu.' in table


def test_all_cases_side_by_side(case):
    other = {**case, 'case': 'other', 'contenders': {'pytorch': entry(1.0)}}
    found = rows(overview([case, other], 'pytorch'))
    assert found['case'] == ['pytorch', 'peer', 'integer_native']
    assert found['net:32x32:b1'] == ['1.00', '2.00', '8.00']
    assert found['other'] == ['1.00', '-', '-']


def test_growth_has_time_and_memory(case):
    case['contenders']['peer']['memory'] = {'running': 123.4, 'peak': 500.0}
    found = rows(growth([case]))
    assert found['net:32x32:b1'] == ['800.0', '400.0 / 123', '100.0']


def test_a_report_begins_with_the_machine(case):
    machine = {
        'date': '2026-01-01T00:00:00',
        'cpu': 'A CPU',
        'flags': ['avx2'],
        'cores': 2,
        'threads': 1,
        'load': [0.5, 0.1, 0.1],
        'native': 'avx2',
        'platform': 'Linux',
        'python': '3.11',
        'versions': {'torch': '2.0'},
    }
    text = report({'machine': machine, 'reference': 'pytorch', 'cases': [case]})
    head, _, rest = text.partition('## ')
    assert 'A CPU, 2 cores (avx2); 1 threads' in head and 'torch 2.0' in head
    assert rest.count('## ') == 0  # no overview of one case, nothing about memory
