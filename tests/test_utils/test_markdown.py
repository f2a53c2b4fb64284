"""Markdown tables, as they are rendered and as they are read."""

from iptq_mm.utils.markdown import table


def test_cells_that_are_missing_are_empty():
    text = table(['contender', 'ms'], [['native', '2.9'], ['none']])
    assert text == '| contender | ms |\n| --- | --- |\n| native | 2.9 |\n| none |  |'


def test_a_cell_cannot_end_its_column_or_its_row():
    assert table(['a'], [['x|y\nz']]).splitlines()[2:] == ['| x\\|y z |']


def test_padded_columns():
    rows = [['linear', 12, 'what may be long'], ['add', 3, '']]
    assert table(['node', 'count', 'why'], rows, align='lrl', padded=True) == (
        '| node   | count | why |\n'
        '| ------ | ----: | --- |\n'
        '| linear |    12 | what may be long |\n'
        '| add    |     3 |     |'
    )


def test_a_last_column_of_numbers_is_padded():
    text = table(['node', 'n'], [['add', 12]], align='lr', padded=True)
    assert text.splitlines() == ['| node |  n |', '| ---- | -: |', '| add  | 12 |']


def test_no_rows():
    assert table(['a', 'b'], []) == '| a | b |\n| --- | --- |'


def test_a_narrow_column_still_has_a_rule():
    text = table(['n', 'what'], [['1', 'a']], align='rl', padded=True)
    assert text.splitlines()[1] == '| -: | ---- |'
