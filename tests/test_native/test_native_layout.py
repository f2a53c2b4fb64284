"""The commands of Python and of C++ are the same, and every difference is found."""

import ctypes

import pytest

from iptq_mm.native import layout, library
from iptq_mm.native.commands import KINDS, Command, LayerNorm
from iptq_mm.native.fields import Fields


@pytest.fixture
def description():
    """What the library says of its commands."""
    function = library.library().iptq_layout
    function.restype = ctypes.c_char_p
    return function().decode()


def test_both_sides_are_the_same(description):
    assert layout.differences(description) == []
    assert len(description.splitlines()) > 300


def planted(fields, monkeypatch):
    """A LayerNorm with these fields in place of its own."""
    name = LayerNorm.__name__
    made = type(name, (Fields,), {'_fields_': fields, 'kind_number': 2})
    others = [made if kind is LayerNorm else kind for kind in KINDS]
    monkeypatch.setattr(layout, 'KINDS', tuple(others))


def test_a_swapped_pair_of_fields(description, monkeypatch):
    fields = list(LayerNorm._fields_)
    names = [name for name, _ in fields]
    i = names.index('low')
    assert names[i + 1] == 'high'
    fields[i], fields[i + 1] = fields[i + 1], fields[i]
    planted(fields, monkeypatch)
    low, high = LayerNorm.low.offset, LayerNorm.high.offset
    assert sorted(layout.differences(description)) == [
        f'LayerNorm.high: {low} i64 in Python, {high} i64 in C++',
        f'LayerNorm.low: {high} i64 in Python, {low} i64 in C++',
    ]


def test_another_name_and_another_type(description, monkeypatch):
    fields = list(LayerNorm._fields_)
    fields[1], fields[2] = ('shape', fields[1][1]), (fields[2][0], ctypes.c_int64)
    planted(fields, monkeypatch)
    assert sorted(layout.differences(description)) == [
        'LayerNorm.form: none in Python, 8 i64 in C++',
        'LayerNorm.shape: 8 i64 in Python, none in C++',
        'LayerNorm.x: 16 i64 in Python, 16 pointer in C++',
    ]


def test_a_missing_field(description, monkeypatch):
    planted(LayerNorm._fields_[:-1], monkeypatch)
    size = ctypes.sizeof(LayerNorm)
    assert layout.differences(description) == [
        f'LayerNorm: {size - 8} in Python, {size} in C++',
        f'LayerNorm.out_row: none in Python, {size - 8} i64 in C++',
    ]


@pytest.mark.parametrize(
    'line', ['Type.I16 2', 'Post.Add 2', 'Norm.FQViT 2', 'SLACK 64']
)
def test_another_value(description, line):
    name, value = line.split()
    changed = description.replace(f'{line}\n', f'{name} 7\n')
    (wrong,) = layout.differences(changed)
    assert wrong.endswith(f': {value} in Python, 7 in C++')
    assert wrong.lower().startswith(name.lower())


def test_another_order_of_the_commands(description, monkeypatch):
    swapped = [*KINDS[:3], KINDS[4], KINDS[3], *KINDS[5:]]
    monkeypatch.setattr(layout, 'KINDS', tuple(swapped))
    assert layout.differences(description) == []  # a number belongs to its class
    monkeypatch.setattr(KINDS[3], 'kind_number', 4)
    assert layout.differences(description) == ['Kind.ADD: 4 in Python, 3 in C++']


def test_numbers_are_positions():
    assert [kind.kind_number for kind in KINDS] == list(range(len(KINDS)))
    assert all(issubclass(kind, Command) for kind in KINDS)
