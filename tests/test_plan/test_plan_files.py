"""Plan files: out and in again without a bit of difference, and clear refusals."""

import json

import pytest
import torch
from region_models import FAMILIES, Net, config, same

from iptq_mm.calibration import freeze_regions
from iptq_mm.plan import PLAN_VERSION, PlanError, load_plan, save_plan


def frozen(case, plan):
    net = FAMILIES['deit' if 'Distilled' in plan.module else 'mmdet_swin']()
    net.load_state_dict(case[0].backbone.state_dict())
    freeze_regions(Net(net), config(), {'backbone': plan})
    with torch.no_grad():
        return net(case[2])


def test_json_round_trip_is_the_same_model(case, plan, tmp_path):
    save_plan({'backbone': plan, 'head': plan}, tmp_path / 'plan.json')
    loaded = load_plan(tmp_path / 'plan.json')
    assert list(loaded) == ['backbone', 'head']
    again = loaded['backbone']
    assert again.to_dict() == plan.to_dict()
    assert again.inputs == plan.inputs and again.parameters == plan.parameters
    for site, made in plan.sites.items():
        other = again.sites[site]
        assert (made.output, made.inputs) == (other.output, other.inputs)
        assert (made.function, made.made_for) == (other.function, other.made_for)
    assert same(frozen(case, plan), frozen(case, again))


def test_file_has_a_line_for_each_site(plan, tmp_path):
    save_plan({'backbone': plan}, tmp_path / 'plan.json')
    lines = (tmp_path / 'plan.json').read_text().splitlines()
    assert len(lines) < len(plan.sites) + len(plan.parameters) + 20
    data = json.loads('\n'.join(lines))
    assert data['backbone']['version'] == PLAN_VERSION
    site = data['backbone']['sites'][next(iter(plan.sites))]
    # Scales are as short as float32 allows.
    assert len(repr(site['output']['scale'])) < 16


def test_damaged_files(plan, tmp_path):
    path = tmp_path / 'plan.json'
    save_plan({'backbone': plan}, path)
    text = path.read_text()
    for content in (text[: len(text) // 2], '', '[]', '{}', '3', '{"backbone": []}'):
        path.write_text(content)
        with pytest.raises(PlanError, match=r'plan\.json'):
            load_plan(path)
    with pytest.raises(FileNotFoundError):
        load_plan(tmp_path / 'none.json')
