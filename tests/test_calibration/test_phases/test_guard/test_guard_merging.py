"""What held-out images show joins the records."""

import pytest
import torch

from iptq_mm.calibration import take_in
from iptq_mm.record import RegionRecord


def record(*values):
    made = RegionRecord()
    for value in values:
        made.see_value('a', torch.tensor(value))
    return made


def test_statistics_are_those_of_all_images():
    mine, other, both = record([1.0, -2.0]), record([5.0]), record([1.0, -2.0], [5.0])
    take_in({'r': mine}, {'r': other})
    assert mine.values['a'].count == both.values['a'].count
    assert mine.values['a'].maximum == 5.0


def test_limits_stay_where_they_are():
    mine = record([1.0, -2.0])
    mine.clipping['a'] = 0.5
    take_in({'r': mine}, {'r': record([4.0])})
    assert mine.clipping['a'] == pytest.approx(0.25)


def test_observers_are_kept():
    mine = record([1.0])
    mine.observers['a'] = dict(type='minmax')
    again = RegionRecord.from_state_dict(mine.state_dict())
    assert again.observers == {'a': {'type': 'minmax'}}
    old = mine.state_dict()
    del old['observers']  # as records of earlier versions
    assert RegionRecord.from_state_dict(old).observers == {}
