"""Settings to compare, and what a comparison of them wrote."""

import csv
import json

from iptq_mm.engine.sweep import Row

TWO = """
settings = [
    dict(name='eight bits'),
    dict(name='four bits', options={'quantization.weight.bits': 4}),
]
"""
FUNCTIONS = dict(
    gelu=[dict(type='shift_gelu')],
    softmax=[dict(type='shiftmax', literal=True)],
    layer_norm=[dict(type='ivit_layernorm')],
)


def table(tmp_path):
    """The lines of the CSV table."""
    return list(csv.DictReader((tmp_path / 'out/table.csv').open()))


def row_of(tmp_path, name):
    """What is kept of a row."""
    return json.loads((tmp_path / f'out/rows/{name}.json').read_text())


def figures(**changes):
    """A row with figures."""
    row = dict(
        floats={'accuracy/top1': 80.153846, 'single-label/recall': 0.5},
        integers={'accuracy/top1': 79.0, 'single-label/recall': 0.25},
        agreement=0.9512345,
        sqnr_db=12.34,
        saturated=0.00001234,
        cost=1234567.0,
        seconds={
            'observe': 1.2,
            'analyse': 3.0,
            'assign and freeze': 0.6,
            'float': 9.0,
            'integer': 20.4,
            'total': 40.0,
        },
        versions={'iptq_mm': '1'},
    )
    return Row('eight bits', 'key', **{**row, **changes})
