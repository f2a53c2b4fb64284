"""Parameters that a thread sees as others, and nobody else does."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn

from iptq_mm.modes.parameters import (
    Parameters,
    can_be_seen_as_others,
    seen_as,
    usual_parameters,
)


@pytest.fixture
def layer():
    made = nn.Linear(3, 2)
    can_be_seen_as_others(made)
    return made


def test_every_look_up_finds_the_substitute(layer):
    other, weight = torch.zeros(2, 3), layer.weight
    with seen_as({id(weight): other}):
        assert layer.weight is other and layer._parameters.get('weight') is other
        assert dict(layer.named_parameters())['weight'] is other
        assert next(layer.parameters()) is other
        assert layer.bias is dict.__getitem__(layer._parameters, 'bias')
        assert layer._parameters.get('gain', 5) == 5
    assert layer.weight is weight


def test_inner_substitutes_end_with_an_error(layer):
    weight, outer = layer.weight, torch.ones(2, 3)
    with seen_as({id(weight): outer}):
        with pytest.raises(RuntimeError), seen_as({id(weight): torch.zeros(2, 3)}):
            raise RuntimeError
        assert layer.weight is outer
    assert layer.weight is weight


def test_other_threads_see_the_parameter(layer):
    weight, seen = layer.weight, []

    def look():
        seen.append((layer.weight, layer.state_dict(keep_vars=True)['weight']))

    with seen_as({id(weight): torch.zeros(2, 3)}):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen[0][0] is weight and seen[0][1] is weight


def test_the_module_is_as_usual_otherwise(layer):
    layer.extra = nn.Parameter(torch.ones(1))
    assert list(layer.state_dict()) == ['weight', 'bias', 'extra']
    del layer.extra
    layer.register_parameter('none', None)
    assert layer.none is None and len(list(layer.parameters())) == 2
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(other._parameters) is Parameters
        assert torch.equal(other.weight, layer.weight)
        assert other.weight is not layer.weight
    layer.double()
    assert layer.weight.dtype == torch.float64
    usual_parameters(layer)
    assert type(layer._parameters) is dict and layer.weight.dtype == torch.float64
