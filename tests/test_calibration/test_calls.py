"""When a forward pass of calibration may end."""

import pytest
import torch
from region_models import Custom, config, rows
from torch import nn

from iptq_mm.calibration import ConfigError, check_observed, observe
from iptq_mm.calibration.calls import Calls


def play(calls, names, images=1):
    """A pass in which these regions run; how many did before it could end."""
    calls.start()
    for done, name in enumerate(names, 1):
        if calls.add(name, images):
            calls.finish()
            return done
    calls.finish()
    return len(names)


def test_the_first_pass_is_whole():
    calls = Calls(['a', 'b'])
    assert play(calls, 'abx') == 3
    assert play(calls, 'abx') == 2


def test_regions_that_run_several_times():
    calls = Calls(['a', 'b'])
    play(calls, 'abab')
    assert play(calls, 'abab') == 4
    assert play(calls, 'ababab') == 4


def test_a_region_that_did_not_run_yet():
    calls = Calls(['a', 'b'])
    assert play(calls, 'axx') == 3
    assert play(calls, 'axx') == 3
    assert play(calls, 'abx') == 3  # seen now
    assert play(calls, 'axx') == 3  # nothing detected
    assert play(calls, 'abx') == 2


def test_a_region_that_runs_once_for_each_image():
    calls = Calls(['a', 'b'])
    play(calls, 'abbx', images=2)
    assert play(calls, 'abx', images=1) == 3
    assert play(calls, 'abbbx', images=3) == 5
    assert play(calls, 'abbx', images=2) == 3
    assert play(calls, 'abbbx', images=3) == 4


class Detector(nn.Module):
    """A head sees the rows that are above a bound."""

    def __init__(self):
        super().__init__()
        self.backbone = Custom(lambda m, x: m.last(x))
        self.head = nn.Linear(16, 3)
        self.passes = 0

    def forward(self, x):
        y = self.backbone(x)
        found = x[..., 0] > 2.5
        if found.any():
            y = self.head(y[found])
        self.passes += 1
        return y


@torch.no_grad()
def test_a_head_that_only_some_images_reach():
    net, cfg = Detector().eval(), config(regions=['backbone', 'head'])
    low, high = rows().clamp(max=2), rows()
    high[0, :, 0] = 3
    records = observe(net, cfg, net, [low, high, high])
    assert records['head'].values['/linear:0'].count == 2 * 5 * 3
    assert net.passes == 2
    with pytest.raises(ConfigError, match=r"'head' never ran .* lower score_thr"):
        check_observed(observe(net, cfg, net, [low, low]))
    none = [low, torch.zeros(0, 5, 8)]
    with pytest.raises(ConfigError, match=r"'head' never ran"):
        check_observed(observe(net, cfg, net, none))


def test_later_phases_know_what_earlier_ones_saw():
    usual = {}
    assert play(Calls(['a', 'b'], usual), 'abx') == 3
    assert play(Calls(['a', 'b'], usual), 'abx') == 2
    assert play(Calls(['a', 'b'], usual), 'abx', images=2) == 3
    assert play(Calls(['a', 'b']), 'abx') == 3
