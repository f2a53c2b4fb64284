"""tools/measure_costs.py on a tiny classifier without weights."""

from pathlib import Path

import pytest
import tiny_models

from iptq_mm.engine.search.costs import CostTable
from iptq_mm.native.library import available

TOOL = Path(__file__).parents[2] / 'tools/measure_costs.py'


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason='no native library')
def test_a_table(tool, tmp_path):
    cfg = tiny_models.vit(tmp_path / 'no-images', 16)
    cfg.dump(tmp_path / 'vit.py')
    code, out, _ = tool(str(tmp_path / 'vit.py'), '--out', 'costs.json')
    assert code == 0 and 'costs.json: ' in out
    table = CostTable.load('costs.json')
    assert {key.split()[0] for key in table.nanoseconds} == {
        'conv2d',
        'linear',
        'matmul',
    }
    assert all(time > 0 for time in table.nanoseconds.values())


def test_a_config_that_is_missing(tool):
    code, _, error = tool('missing.py')
    assert code == 1 and 'there is no config' in error
