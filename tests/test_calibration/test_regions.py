"""Names of regions, and whether they can be quantized."""

import pytest
import torch
from region_models import config, plain_net, quantized, rows
from torch import nn

from iptq_mm.calibration import ConfigError, check_regions, expanded
from iptq_mm.calibration.regions import parts_beside


class Roi(nn.Module):
    def __init__(self):
        super().__init__()
        self.bbox_head = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
        self.mask_head = nn.Sequential(nn.Linear(1, 1))
        self.empty = nn.ModuleList()


@pytest.fixture
def model():
    net = nn.Module()
    net.backbone, net.roi_head = nn.Linear(1, 1), Roi()
    net.nested = nn.ModuleList([nn.ModuleList([nn.Linear(1, 1)]), nn.Linear(1, 1)])
    return net


def test_lists_stand_for_their_members(model):
    assert expanded(model, ['backbone', 'roi_head.bbox_head', 'nested']) == [
        'backbone',
        'roi_head.bbox_head.0',
        'roi_head.bbox_head.1',
        'nested.0.0',
        'nested.1',
    ]
    both = ['roi_head.bbox_head', 'roi_head.bbox_head.1']
    assert expanded(model, both) == ['roi_head.bbox_head.0', 'roi_head.bbox_head.1']


def test_all_else_stays(model):
    names = ['roi_head.mask_head', 'neck', 'roi_head.bbox_head.7', 'roi_head.empty']
    assert expanded(model, names) == names


@pytest.mark.parametrize(
    'name, parts',
    [
        ('neck', ['backbone', 'roi_head', 'nested']),
        (
            'roi_head.box',
            ['roi_head.bbox_head', 'roi_head.mask_head', 'roi_head.empty'],
        ),
        ('roi_head.bbox_head.2', ['roi_head.bbox_head.0', 'roi_head.bbox_head.1']),
        ('neck.convs.0', ['backbone', 'roi_head', 'nested']),
        ('backbone.layer', ['backbone', 'roi_head', 'nested']),
    ],
)
def test_messages_name_what_is_there(model, name, parts):
    assert parts_beside(model, name) == parts
    with pytest.raises(ConfigError) as caught:
        check_regions(model, config(regions=[name]))
    assert str(parts) in str(caught.value) and f"'{name}'" in str(caught.value)


def test_members_may_not_lie_in_each_other(model):
    cfg = config(regions=expanded(model, ['roi_head', 'roi_head.bbox_head']))
    with pytest.raises(ConfigError, match='lies inside another region'):
        check_regions(model, cfg)


def test_unknown_region():
    with pytest.raises(ConfigError, match=r"no part 'neck' .*it has \['backbone'\]"):
        check_regions(plain_net(), config(regions=['neck']))
    with pytest.raises(ConfigError, match="no part ''"):
        check_regions(plain_net(), config(regions=['']))
    with pytest.raises(ConfigError, match="no part 'backbone.p'"):
        check_regions(plain_net(), config(regions=['backbone.p']))


def test_nested_region():
    with pytest.raises(ConfigError, match="'backbone.last' lies inside another"):
        check_regions(plain_net(), config(regions=['backbone.last', 'backbone']))


def test_region_quantized_already():
    net = quantized(plain_net().backbone, [rows()])
    with pytest.raises(ConfigError, match="'backbone' is quantized already"):
        check_regions(net, config())


@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_bad_weights_name_the_parameter(value):
    net = plain_net()
    net.backbone.last.weight.data[1, 2] = value
    with pytest.raises(ValueError, match=r"'backbone.last.weight' holds NaN or inf"):
        check_regions(net, config())
