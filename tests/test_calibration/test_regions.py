"""Names of regions."""

import pytest
from region_models import config
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
