"""The plan simulated in floats: close to the integers."""

import pytest
import torch
from region_models import (
    FAMILIES,
    SEVERAL,
    Custom,
    bound,
    calibrated,
    config,
    images,
    rows,
    sqnr,
)

from iptq_mm.calibration import freeze_regions
from iptq_mm.intmath import QParams
from iptq_mm.modes import Fake
from iptq_mm.modes.fake import fake_quantize


@pytest.mark.parametrize('name', FAMILIES)
def test_forward_is_close_to_the_integers(name):
    """Not equal to the bit: float32 sums of grid values round halves otherwise.

    A value that lies on a half step of its output goes to the other neighbour,
    one step of 8 bits apart, and later layers see it. Measured: 25 to 40 dB,
    while quantization itself leaves 24 to 33 dB.
    """
    batches = [images(4, 3, 32, 32, seed=s) for s in range(2)]
    cfg = config(SEVERAL)
    with torch.no_grad():
        net, plan, _ = calibrated(FAMILIES[name](), batches, cfg)
        x = images(2, 3, 48, 40, seed=5)
        real = net(x)
        with bound(net.backbone, Fake(plan)):
            fake = net(x)
        freeze_regions(net, cfg, {'backbone': plan})
        integers = net(x)
    assert sqnr(integers, fake) > 22
    assert sqnr(real, fake) > 18
    assert sqnr(integers, fake) > sqnr(integers, real) - 1


def test_forward_equals_the_integers_where_nothing_falls_on_a_half():
    module = Custom(lambda self, x: self.last(x))
    x = rows()
    with torch.no_grad():
        net, plan, _ = calibrated(module, [x])
        with bound(net.backbone, Fake(plan)):
            fake = net(x)
        freeze_regions(net, config(), {'backbone': plan})
        step = plan.sites['last/linear:0'].output.scale
        assert (net(x) - fake).abs().max() <= 1.01 * step


def test_fake_quantize():
    qparams = QParams(0.5, -3, 3)
    x = torch.tensor([-9.0, -1.5, 0.2, 0.3, 1.5, 9.0])
    assert fake_quantize(x, qparams).tolist() == [-1.5, -1.5, 0.0, 0.5, 1.5, 1.5]
