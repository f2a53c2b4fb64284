"""Batch norm in a region: a product and a sum, or an error."""

import pytest
import torch
from region_models import WithNorm, images, integer_mode, quantized, sqnr
from torch import nn
from torch.nn import functional as F

from iptq_mm.qtensor import UnsupportedOperationError

pytestmark = pytest.mark.usefixtures('no_grad')


class Normed(nn.Module):
    """A batch norm of something that no layer made."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, x):
        return self.norm(x).relu()


@pytest.mark.parametrize('affine', [True, False])
def test_batch_norm_is_a_product_and_a_sum(affine):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, affine=affine)
    norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    if affine:
        norm.weight.normal_(), norm.bias.normal_()
    net = WithNorm(Normed(norm)).eval()
    batches = [images(2, 4, 6, 5, seed=s) for s in range(3)]
    whole = quantized(net, batches)
    assert sqnr(net(batches[0])[0], whole(batches[0])[0]) > 40
    plan = integer_mode(whole).plan
    assert [s for s in plan.sites if 'layer.norm' in s] == [
        'layer.norm/mul:0',
        'layer.norm/add:0',
    ]


def test_batch_norm_of_vectors():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(8)
    norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    body = nn.Sequential(nn.LayerNorm(8), norm).eval()
    x = torch.randn(20, 8)
    assert sqnr(body(x), quantized(body, [x])(x)) > 40


def test_batch_norm_over_the_batch_is_refused():
    class Batch(nn.Module):
        def forward(self, x):
            return F.batch_norm(x, None, None, training=True)

    with pytest.raises(UnsupportedOperationError, match='only running statistics'):
        quantized(WithNorm(Batch()), [images(2, 4, 4, 4)])
