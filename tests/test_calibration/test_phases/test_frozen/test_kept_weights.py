"""Weights that are rounded once, in this run or in one that it resumes."""

import pytest
import torch
from region_models import Custom, calibrated, config, rows

from iptq_mm.calibration import freeze_regions, measure
from iptq_mm.calibration.phases.frozen import kept as kept_module
from iptq_mm.calibration.phases.frozen.kept import Kept, digest
from iptq_mm.moments import Moments
from iptq_mm.rounding import SecondOrderRounding

pytestmark = pytest.mark.usefixtures('no_grad')

CONFIG = config(
    weight=dict(bits=3, rounding=dict(type='second_order'), bias_correction=True)
)


def frozen(kept=None):
    batches = [rows(16, 8, seed=s) for s in range(2)]
    net, plan, record = calibrated(
        Custom(lambda self, x: self.last(x)), batches, CONFIG
    )
    plans = {'backbone': plan}
    inputs = measure(net, plans, net, batches)
    freeze_regions(net, CONFIG, plans, {'backbone': record}, inputs, kept)
    return dict(net.state_dict()), plan


def test_a_resumed_run_rounds_nothing_again(monkeypatch):
    rounded = {}
    expected, plan = frozen(Kept(rounded))
    assert len(rounded) == sum(p.role == 'weight' for p in plan.parameters.values()) > 1
    monkeypatch.setattr(SecondOrderRounding, 'solve', None)
    found, again = frozen(Kept(rounded))
    assert again.to_dict() == plan.to_dict() == frozen(Kept(rounded))[1].to_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    # The others are rounded.
    del rounded[next(iter(rounded))]
    with pytest.raises(TypeError):
        frozen(Kept(rounded))


def test_results_are_saved_now_and_then(monkeypatch):
    rounded, sizes = {}, []
    frozen(Kept(rounded, lambda: sizes.append(len(rounded))))
    assert not sizes
    monkeypatch.setattr(kept_module, 'EVERY', 0.0)
    rounded.clear()
    frozen(Kept(rounded, lambda: sizes.append(len(rounded))))
    assert sizes == list(range(1, len(rounded) + 1))


def test_all_that_a_result_depends_on_is_in_its_key():
    def inputs(scale=0.5, value=3):
        made = Moments(2, scale)
        made.update(torch.tensor([[1, value]]))
        return made

    usual = ['a', torch.ones(2, 2), torch.ones(2), 4, inputs(), False, 0]
    others = ['b', torch.eye(2), torch.rand(2), 3, inputs(value=4), True, 8]
    keys = {digest(*usual), digest(*usual[:4], inputs(scale=0.25), *usual[5:])}
    for i, other in enumerate(others):
        keys.add(digest(*usual[:i], other, *usual[i + 1 :]))
    assert len(keys) == 2 + len(others)
    assert digest(*usual) == digest(*usual[:4], inputs(), *usual[5:])
