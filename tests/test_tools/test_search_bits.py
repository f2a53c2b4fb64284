"""tools/search_bits.py and the table of tools/measure_costs.py."""

from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/search_bits.py'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--budget', 'size=3'], '--budget size=3: write NAME=VALUE'),
        (['--budget', 'bytes=few'], 'give a number above 0'),
        (['--budget', 'bytes=W4A8', '--weights', '9'], '9 bits: use 2 to 8'),
        (['--budget', 'bytes=W4A8'], 'there is no config missing.py'),
    ],
)
def test_mistakes_show_before_anything_is_measured(tool, options, message):
    code, _, error = tool('missing.py', *options)
    assert code == 1 and message in error
