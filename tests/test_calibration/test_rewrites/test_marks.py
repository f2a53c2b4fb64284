"""Integer weights of the channel that marks padding."""

import pytest
import torch

from iptq_mm.calibration.rewrites.marks import marked_layer, with_exact_marks
from iptq_mm.pixels import Pixels
from iptq_mm.record import RegionRecord

PIXELS = Pixels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), marked=True)


@pytest.mark.parametrize('bits', [4, 8])
@pytest.mark.parametrize('corrected', [False, True])
def test_a_window_of_padding(bits, corrected):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 4, 3, 4, generator=generator)
    weight[:, 3] *= 0.2
    bound = 2 ** (bits - 1) - 1
    scale = weight.abs().amax((1, 2, 3)).double() / bound
    codes = (weight.double() / scale.view(-1, 1, 1, 1)).round().to(torch.int8)
    lost = torch.randn(5, generator=generator) if corrected else None
    made, rest = with_exact_marks(codes, scale, weight, bound, PIXELS, lost)
    assert torch.equal(made[:, :3], codes[:, :3]) and made.dtype == codes.dtype
    assert made.abs().max() <= bound
    zero = torch.tensor(PIXELS.zero_point).view(1, 4, 1, 1)
    real = (weight.double() * zero).sum((1, 2, 3))
    integer = (made.double() * zero).sum((1, 2, 3)) * scale + rest
    wanted = real - (0 if lost is None else lost.double())
    assert torch.allclose(integer, wanted, atol=1e-9)
    if bits == 8:  # with room for it, images lose next to nothing
        assert (rest.abs() <= 2.01 * scale).all()


def test_the_layer():
    record = RegionRecord()
    record.values = {'input:0': None}
    record.sources = {'conv': ['input:0', 'parameter:a.weight', 'parameter:a.bias']}
    assert marked_layer(record, None) == marked_layer(RegionRecord(), PIXELS)
    assert marked_layer(record, PIXELS) == ('a.weight', 'a.bias')
