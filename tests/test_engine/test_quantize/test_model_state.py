"""What a checkpoint holds is all of the model, whatever its hooks leave out."""

import pytest
import torch
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.quantize.model_state import check_state, whole_state


class Net(nn.Module):
    """Saves what ``hook`` leaves of its state."""

    def __init__(self, hook=None):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.backbone.register_buffer('made', torch.ones(2), persistent=False)
        if hook:
            self.backbone._register_state_dict_hook(hook)


def drops(module, state, prefix, metadata):
    for key in list(state):
        if key.endswith('weight'):
            del state[key]


def renames(module, state, prefix, metadata):
    for key in list(state):
        state[key.replace('.0.', '.first.')] = state.pop(key)


def test_as_the_model_has_it():
    model = Net()
    state = whole_state(model)
    assert list(state) == list(model.state_dict())
    assert state._metadata == model.state_dict()._metadata
    assert state['backbone.0.weight'].data_ptr() == model.backbone[0].weight.data_ptr()


def test_what_hooks_drop_is_there():
    state = whole_state(Net(drops))
    assert state.keys() == whole_state(Net()).keys()
    assert 'backbone.made' not in state
    check_state(Net(drops), ['backbone'])


def test_what_hooks_rename_is_not_there_twice():
    state = whole_state(Net(renames))
    assert len(state) == len(whole_state(Net()))
    assert 'backbone.first.weight' in state and 'backbone.0.weight' not in state


def test_loading_changes_nothing():
    model = Net(drops)
    before = {k: v.clone() for k, v in whole_state(model).items()}
    check_state(model, ['backbone'])
    after = whole_state(model)
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_names_that_are_not_loaded():
    with pytest.raises(
        ConfigError, match=r"'backbone'.*Sequential.*'backbone.0.weight'"
    ):
        check_state(Net(renames), ['backbone'])


def test_names_that_are_taken_back():
    model = Net(renames)

    def back(state, prefix, *args):
        for key in [k for k in state if '.first.' in k]:
            state[key.replace('.first.', '.0.')] = state.pop(key)

    model.backbone._register_load_state_dict_pre_hook(back)
    check_state(model, ['backbone'])
