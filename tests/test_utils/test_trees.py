"""Leaves of trees, as torch finds them, and keys of nestings in every torch."""

from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest
import torch
from torch.utils import _pytree

from iptq_mm.utils import trees
from iptq_mm.utils.trees import tree_leaves

Pair = namedtuple('Pair', 'a b')


def test_leaves_are_those_of_torch():
    """In the same order, whatever the types of the nodes are."""
    examples = [
        1,
        (),
        [1, (2, {'b': 3, 'a': [None, 4]}), []],
        {'b': (1, 2), 'a': OrderedDict(d=3, c=4)},
        [Pair(1, [2]), deque([3, 4]), defaultdict(list, x=[5])],
        (torch.Size([2, 3]), slice(1, 2), 'text', range(3)),
    ]
    for tree in examples:
        assert tree_leaves(tree) == _pytree.tree_flatten(tree)[0]
    x = torch.zeros(2)
    assert tree_leaves(x)[0] is x and tree_leaves([{'x': (x,)}])[0] is x


@pytest.mark.parametrize('hashes', [False, True])
def test_keys_of_nestings(hashes, monkeypatch):
    if not hashes:
        monkeypatch.setattr(_pytree.TreeSpec, '__hash__', None)
    trees_of = [[1, (2, {'b': 3})], [4, (5, {'b': 6})], [1, (2, {'c': 3})], [1, 2, 3]]
    keys = [trees.nesting_key(_pytree.tree_flatten(tree)[1]) for tree in trees_of]
    assert {keys[0]: 'found'}[keys[1]] == 'found'
    assert len(set(keys)) == 3
