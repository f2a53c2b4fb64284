"""The plan of a site."""

import json
import pickle

import pytest
import torch

from iptq_mm.intmath import QParams
from iptq_mm.plan import SitePlan


def test_constants_for():
    made = QParams(0.5, -200, 127)
    constants = {'a': 1}
    plan = SitePlan('softmax', made, constants=constants, made_for=made)
    assert plan.constants_for(made) is constants
    assert plan.constants_for(QParams(0.5, -100, 127)) is constants
    assert plan.constants_for(QParams(0.5, -201, 127)) is None
    assert plan.constants_for(QParams(0.25, -100, 127)) is None
    assert SitePlan('gelu', made, constants=constants).constants_for(made) is constants
    assert SitePlan('gelu', made).constants_for(made) is None


def test_out_and_in_again():
    wide = QParams(0.5, -32767, 32767)
    plan = SitePlan(
        'softmax',
        QParams(2.0**-16, 0, 65535),
        {1: QParams(0.25, -3, 252)},
        dict(type='table_softmax'),
        {'shift': 7, 'table': torch.arange(3)},
        wide,
        [0, 3, 15],
    )
    plan.inputs[0] = QParams(0.5, -1, 254, (-1, 0, 1, 90))
    data = json.loads(json.dumps(plan.to_dict()))
    again = SitePlan.from_dict(data)
    assert again.to_dict() == data
    assert (again.output, again.inputs) == (plan.output, plan.inputs)
    assert again.made_for == wide and again.input_shifts == [0, 3, 15]
    assert again.constants['shift'] == 7
    assert torch.equal(again.constants['table'], plan.constants['table'])
    bare = SitePlan('add', wide)
    assert set(bare.to_dict()) == {'operation', 'output'}
    assert SitePlan.from_dict(bare.to_dict()) == bare


@pytest.mark.parametrize('powers', [[16], [-1], [0.5], ['1']])
def test_powers_that_are_none(powers):
    data = {**SitePlan('add', QParams(0.5, -7, 7)).to_dict(), 'input_powers': powers}
    with pytest.raises(ValueError, match='integers from 0 to 15'):
        SitePlan.from_dict(data)


def test_pickles_of_version_0_1_keep_their_shifts():
    plan = SitePlan('linear', QParams(0.5, -128, 127), input_shifts=[0, 2])
    state = {k: v for k, v in vars(plan).items() if k != 'input_shifts'}
    old = SitePlan.__new__(SitePlan)
    old.__setstate__({**state, 'input_powers': [0, 2]})
    assert old == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
