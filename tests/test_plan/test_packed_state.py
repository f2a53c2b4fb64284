"""State dicts whose weights of few bits are packed."""

import copy

import pytest
import torch
from region_models import config, images, integer_mode, quantized, vit

from iptq_mm.plan import PlanError
from iptq_mm.plan.packed_state import (
    SUFFIX,
    VERSION_KEY,
    pack_state,
    unpack_state,
    unpacked,
)

BATCHES = [images(2, 3, 16, 16, seed=s) for s in range(2)]


def _model(bits, group=0):
    weight = dict(bits=bits, group=group, rounding=dict(type='nearest'))
    return quantized(vit(dims=16, size=16), BATCHES, config(weight=weight))


def _packed(net):
    state = copy.deepcopy(dict(net.state_dict()))
    pack_state(state, 'backbone.', integer_mode(net).plan)
    return state


@pytest.mark.parametrize(('bits', 'group'), [(4, 8), (4, 0), (6, 8), (3, 0)])
def test_a_model_loads_what_was_packed(bits, group):
    net = _model(bits, group)
    state, before = _packed(net), copy.deepcopy(dict(net.state_dict()))
    short = [key for key in state if key.endswith(SUFFIX)]
    assert {key.removesuffix(SUFFIX) for key in short} == before.keys() - state.keys()
    in_full = sum(before[key.removesuffix(SUFFIX)].numel() for key in short)
    most = (bits + (4 / group if group else 0)) / 8
    assert 0.5 * most < sum(len(state[key]) - 3 for key in short) / in_full <= most
    for parameter in net.backbone.parameters():
        parameter.zero_()
    net.load_state_dict(state)
    after = net.state_dict()
    assert after.keys() == before.keys() == unpacked(state).keys()
    for key, value in before.items():
        for found in (after[key], unpacked(state)[key]):
            assert found.dtype == value.dtype and torch.equal(found, value)


def test_eight_bits_stay_as_they_are():
    net = _model(8)
    state = _packed(net)
    assert state.keys() == net.state_dict().keys() == unpacked(state).keys()


def test_another_version_or_damage():
    net = _model(4)
    plan, state = integer_mode(net).plan, _packed(net)
    other = state | {f'backbone.{VERSION_KEY}': torch.tensor([9])}
    with pytest.raises(
        PlanError, match=r"region 'backbone' are packed as version \[9\]"
    ):
        unpack_state(other, 'backbone.', plan)
    key = next(key for key in state if key.endswith(SUFFIX))
    name = key.removesuffix(SUFFIX)
    with pytest.raises(PlanError, match=f"packed integers of '{name}' are damaged"):
        net.load_state_dict(state | {key: state[key][:-1]})
