"""Sweeps over settings of a model: quantize under each, and make one table.

``settings`` reads and checks the list, ``grid`` expands products in it, ``results``
measures a setting, ``workers`` several at a time, ``table`` writes CSV and Markdown,
and ``run`` ties them together.
"""

from .results import Row
from .run import Sweep
from .settings import Setting, SettingList, load_settings
from .table import write_csv, write_markdown

__all__ = [
    'Row',
    'Setting',
    'Sweep',
    'SettingList',
    'load_settings',
    'write_csv',
    'write_markdown',
]
