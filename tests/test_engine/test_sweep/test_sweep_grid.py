"""Products of values in a list of settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_cases import FUNCTIONS

from iptq_mm.engine.sweep.grid import expanded

pytestmark = pytest.mark.usefixtures('one_thread')


def test_grid(listed):
    sizes = {'quantization.calibration.num_images': [2, 4], 'seed': range(2)}
    criteria = [dict(_delete_=True, type='sqnr')]
    named = {'candidates': {'shifts': FUNCTIONS}, 'quantization.criterion': criteria}
    found = listed(f"settings = [dict(name='first')]\ngrid = {[sizes, named]}")
    assert [s.name for s in found.settings] == [
        'first',
        'num_images=2, seed=0',
        'num_images=2, seed=1',
        'num_images=4, seed=0',
        'num_images=4, seed=1',
        'shifts, criterion=sqnr',
    ]
    assert [(s.images, s.seed) for s in found.settings[1:5]] == [
        (2, 0),
        (2, 1),
        (4, 0),
        (4, 1),
    ]
    assert found.settings[5].quantization.criterion == {'type': 'sqnr'}
    assert len({s.key for s in found.settings}) == 6


@given(
    st.dictionaries(
        st.sampled_from(['seed', 'a.x', 'b.x', 'b.y', 'config']),
        st.lists(st.integers(), unique=True, max_size=3),
        max_size=4,
    )
)
def test_grid_is_the_product(grid):
    """Every combination once, each with a name of its own."""
    made = list(expanded(grid))
    count = 1
    for values in grid.values():
        count *= len(values)
    assert len(made) == count
    names = {setting['name'] for setting in made}
    assert len(names) == count
    for setting in made:
        given = {**setting['options'], **setting}
        assert all(given[key] in values for key, values in grid.items())
