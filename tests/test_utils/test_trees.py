"""Leaves of trees, with and without what newer versions of torch have for them."""

import importlib

import pytest
from torch.utils import _pytree

from iptq_mm.utils import trees


@pytest.fixture(params=['this torch', 'torch 2.1'])
def leaves(request, monkeypatch):
    """The function, as it is imported beside two versions of torch."""
    if request.param == 'torch 2.1':
        monkeypatch.delattr(_pytree, 'tree_leaves', raising=False)
    found = importlib.reload(trees).tree_leaves
    if request.param == 'torch 2.1':
        assert found.__module__ == trees.__name__
    yield found
    monkeypatch.undo()
    importlib.reload(trees)


def test_leaves(leaves):
    assert leaves([1, (2, {'b': 3, 'a': [4]}), None]) == [1, 2, 3, 4, None]
    assert leaves(5) == [5] and leaves(()) == []


@pytest.mark.parametrize('hashes', [False, True])
def test_keys_of_nestings(hashes, monkeypatch):
    if not hashes:
        monkeypatch.setattr(_pytree.TreeSpec, '__hash__', None)
    trees_of = [[1, (2, {'b': 3})], [4, (5, {'b': 6})], [1, (2, {'c': 3})], [1, 2, 3]]
    keys = [trees.nesting_key(_pytree.tree_flatten(tree)[1]) for tree in trees_of]
    assert {keys[0]: 'found'}[keys[1]] == 'found'
    assert len(set(keys)) == 3
