"""The plan of a parameter."""

import json

import pytest

from iptq_mm.plan import ParameterPlan


def test_of_a_weight():
    plan = ParameterPlan('weight', 4, (2, 3), [0.5, 0.25])
    assert plan.bound == 7 and plan.scales().tolist() == [0.5, 0.25]
    assert ParameterPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize('bits, bound', [(2, 16), (3, 48), (4, 112), (5, 120)])
def test_of_a_weight_with_groups(bits, bound):
    plan = ParameterPlan('weight', bits, (2, 32), [0.5, 0.25], group=16)
    assert plan.bound == bound
    given = json.loads(json.dumps(plan.to_dict()))
    assert given['group'] == 16 and ParameterPlan.from_dict(given) == plan
    assert 'group' not in ParameterPlan('weight', 4, (1,), [1.0]).to_dict()


@pytest.mark.parametrize('bits, bound', [(8, 127), (16, 32767), (24, 2**23 - 1)])
def test_of_one_scale(bits, bound):
    plan = ParameterPlan('table', bits, (5,), 0.125)
    assert plan.bound == bound and plan.scales().shape == ()
    assert ParameterPlan.from_dict(plan.to_dict()) == plan
