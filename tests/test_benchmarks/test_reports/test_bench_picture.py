"""How times grow, as a picture."""

import pytest
from bench.reports.picture import draw, grown


def case(name, **seconds):
    entries = {n: {'seconds': [s, s, 9.0]} for n, s in seconds.items()}
    return {'case': name, 'contenders': {**entries, 'absent': {'missing': 'no'}}}


CASES = [
    case('net:64x64:b1', pytorch=0.4, ours=0.1),
    case('net:32x32:b4', pytorch=0.3, ours=0.1),
    case('net:32x32:b1', pytorch=0.1, ours=0.05),
    case('other:8x8:b1', pytorch=0.1),
]


def test_cases_that_differ_in_one_thing():
    found = grown(CASES)
    labels = {name: [label for label, _ in series] for name, series in found.items()}
    assert labels == {
        'net, size': ['32x32', '64x64'],
        'net, batch of 32x32': ['1', '4'],
    }
    assert found['net, size'][1][1] is CASES[0]


@pytest.mark.parametrize('suffix', ['png', 'svg'])
def test_a_picture(tmp_path, suffix):
    path = tmp_path / f'all.{suffix}'
    draw({'cases': CASES}, path)
    data = path.read_bytes()
    assert data.startswith(b'\x89PNG' if suffix == 'png' else b'<?xml')
    if suffix == 'svg':
        assert data.count(b'<g id="axes_') == 2


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match='no two cases'):
        draw({'cases': CASES[-1:]}, tmp_path / 'x.png')
    assert list(tmp_path.iterdir()) == []
