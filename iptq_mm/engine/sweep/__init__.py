"""One table of many settings of a model.

``settings`` reads and checks the list, ``grid`` expands products in it, ``rows``
measures a setting, ``workers`` several at a time, ``table`` writes CSV and Markdown,
and ``run`` ties them together.
"""

from .rows import Row
from .run import SettingComparison
from .settings import Setting, SettingList, load_settings
from .table import write_csv, write_markdown

__all__ = [
    'Row',
    'Setting',
    'SettingComparison',
    'SettingList',
    'load_settings',
    'write_csv',
    'write_markdown',
]
