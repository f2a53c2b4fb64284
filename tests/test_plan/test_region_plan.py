"""The plan of a region: in a checkpoint and back, and clear refusals."""

import io
import json

import pytest
import torch
from region_models import (
    FAMILIES,
    Net,
    calibrated,
    config,
    images,
    mmdet_swin,
    same,
    vit,
)

from iptq_mm.calibration import freeze_regions
from iptq_mm.modes.install import PLAN_KEY
from iptq_mm.plan import PLAN_VERSION, PlanError, RegionPlan


def test_tensor_round_trip(plan):
    data = plan.to_tensor()
    assert data.dtype == torch.uint8
    assert RegionPlan.from_tensor(data).to_dict() == plan.to_dict()


def test_state_dict_round_trip(case, plan):
    """As a checkpoint: saved, loaded with weights_only, and the same to the bit."""
    net = Net(FAMILIES['deit' if 'Distilled' in plan.module else 'mmdet_swin']())
    net.load_state_dict(case[0].state_dict())
    with torch.no_grad():
        freeze_regions(net, config(), {'backbone': plan})
        expected = net(case[2])
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    own = RegionPlan.from_tensor(state[f'backbone.{PLAN_KEY}'])
    other = Net(FAMILIES['deit' if 'Distilled' in plan.module else 'mmdet_swin']())
    for p in other.parameters():
        p.data.normal_()  # all that counts comes from the checkpoint
    with torch.no_grad():
        freeze_regions(other, config(), {'backbone': own})
        other.load_state_dict(state)
        assert same(expected, other(case[2]))
    floats = [n for n, v in state.items() if v.is_floating_point()]
    assert floats == []


def test_another_version(plan):
    data = {**plan.to_dict(), 'version': PLAN_VERSION + 1}
    with pytest.raises(PlanError, match=r'version 2 .* \(it reads 1\).*again'):
        RegionPlan.from_dict(data)
    with pytest.raises(PlanError, match='version None'):
        RegionPlan.from_dict({})


def damage(data, *path, value=None):
    data = json.loads(json.dumps(data))
    inner = data
    for key in path[:-1]:
        inner = inner[key if key != '*' else next(iter(inner))]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1] if path[-1] != '*' else next(iter(inner))] = value
    return data


@pytest.mark.parametrize(
    'path, value, message',
    [
        (('sites',), None, "'sites' is missing"),
        (('sites',), [], 'damaged'),
        (('sites', '*'), 3, 'damaged'),
        (('sites', '*', 'output'), None, "'output' is missing"),
        (('sites', '*', 'output', 'scale'), -1.0, 'scale is positive'),
        (('sites', '*', 'output', 'scale'), 'x', 'damaged'),
        (('sites', '*', 'output', 'qmin'), 5, 'does not hold 0'),
        (('parameters', '*', 'bits'), None, "'bits' is missing"),
        (('parameters',), 'nothing', 'damaged'),
        (('inputs',), None, "'inputs' is missing"),
    ],
)
def test_damaged(plan, path, value, message):
    data = damage(plan.to_dict(), *path, value=value)
    with pytest.raises(PlanError, match=message):
        RegionPlan.from_dict(data)


def test_damaged_bytes(plan):
    data = plan.to_tensor()
    for bytes_ in (data[:100], data.flip(0), torch.zeros(9, dtype=torch.uint8)):
        with pytest.raises(PlanError, match='damaged'):
            RegionPlan.from_tensor(bytes_)


def test_a_foreign_model():
    with torch.no_grad():
        _, plan, _ = calibrated(vit(), [images(2, 3, 32, 32)])
    with pytest.raises(PlanError) as caught:
        plan.check('backbone', mmdet_swin())
    message = str(caught.value)
    assert "region 'backbone'" in message and '(VisionTransformer)' in message
    assert 'missing' in message and 'more)' in message
    assert 'tools/quantize.py' in message
    with pytest.raises(PlanError, match=r"'pos_embed' is .*1, 26, 32.*1, 17, 32"):
        plan.check('backbone', vit(size=40))
    with pytest.raises(PlanError, match=r'is unknown to the plan; quantize'):
        larger = vit()
        larger.more = torch.nn.Parameter(torch.zeros(1))
        plan.check('backbone', larger)
    plan.check('backbone', vit())
