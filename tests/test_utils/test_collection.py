"""Collections of garbage that are held back."""

import gc

import pytest

from iptq_mm.utils.collection import held_back_collection


@pytest.mark.parametrize('enabled', [True, False])
def test_collections_are_held_back(enabled):
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(KeyError), held_back_collection():
            with held_back_collection():
                assert not gc.isenabled()
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
