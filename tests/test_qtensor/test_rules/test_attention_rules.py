"""Fused attention, einsum and norms of rows become sites."""

import pytest
import torch
from region_models import attempt
from torch import nn
from torch.nn import functional as F

from iptq_mm.qtensor import UnsupportedOperationError


def heads(x, count=2):
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


HIDDEN = torch.ones(5, 5).triu(1) > 0

ATTENTION = {
    'plain': lambda m, x: F.scaled_dot_product_attention(x, x, x),
    'causal': lambda m, x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    'an addend': lambda m, x: F.scaled_dot_product_attention(
        x, x, x, torch.zeros(5, 5).masked_fill(HIDDEN, float('-inf'))
    ),
    'cross': lambda m, x: F.scaled_dot_product_attention(x, m.last(x)[:, :3], x[:, :3]),
    'grouped': lambda m, x: F.scaled_dot_product_attention(
        heads(x, 4), heads(x[..., :8], 2), heads(x[..., 8:], 2), enable_gqa=True
    ),
    'module': lambda m, x: m.attention(x, x, x)[0],
    'module without weights': lambda m, x: m.attention(x, x, x, need_weights=False)[0],
    'module, its weights': lambda m, x: m.attention(x, x, x)[1],
    'module, cross': lambda m, x: m.attention(x, m.last(x), x)[0],
    'module, mask': lambda m, x: m.attention(x, x, x, attn_mask=HIDDEN)[0],
    'module, padding': lambda m, x: m.attention(
        x, x, x, key_padding_mask=torch.arange(5 * len(x)).view(-1, 5) % 5 > 3
    )[0],
    'module, other sizes': lambda m, x: m.separate(x, x[..., :8], x[..., 8:])[0],
    'module, no batch': lambda m, x: m.attention(x[0], x[0], x[0])[0],
}


@pytest.mark.parametrize('name', ATTENTION)
def test_attention(name):
    if name == 'grouped' and not hasattr(nn, 'RMSNorm'):
        pytest.skip('torch 2.5 has enable_gqa first')
    parts = {}
    if 'module' in name:
        parts['attention'] = nn.MultiheadAttention(16, 2, batch_first=True)
        parts['separate'] = nn.MultiheadAttention(
            16, 2, kdim=8, vdim=8, batch_first=True
        )
    # What has no batch is one image.
    shape = (1, 5) if 'no batch' in name else ()
    assert attempt(ATTENTION[name], *shape, **parts) > 25


EINSUM = {
    'attention': lambda x: torch.einsum('bnc,bmc->bnm', x, x),
    'swapped': lambda x: torch.einsum('bnc,bmc->mbn', x, x),
    'ellipsis': lambda x: torch.einsum('...nc,...mc->...nm', x, x),
    'implicit': lambda x: torch.einsum('bnc,bmc', x, x),
    'elementwise': lambda x: torch.einsum('bnc,bnc->cbn', x, x),
    'outer': lambda x: torch.einsum('bn,bm->bnm', x[..., 0], x[..., 1]),
    'several': lambda x: torch.einsum(
        'bhwc,hkc->bhwk',
        x.unflatten(1, (5, 1)),
        x[:, :3].transpose(0, 1)[[0, 1, 2, 0, 1]],
    ),
}


@pytest.mark.parametrize('name', EINSUM)
def test_einsum(name):
    assert attempt(lambda m, x: EINSUM[name](m.last(x))) > 25


@pytest.mark.parametrize(
    'body',
    [
        lambda m, x: torch.einsum('bnn->bn', x[:, :, :5]),
        lambda m, x: torch.einsum('bnc,bmd->bnm', x, x),
        lambda m, x: torch.einsum('bnc,bnc,bnc->b', x, x, x),
        lambda m, x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
        lambda m, x: F.normalize(x, p=1.0),
    ],
)
def test_what_has_no_rule(body):
    with pytest.raises(UnsupportedOperationError, match='no rule'):
        attempt(body)


def rotary(x):
    """A rotary embedding: a product with constants, and pairs swapped by a stack."""
    angle = torch.arange(5)[:, None] / 10 ** torch.linspace(0, 1, 8)
    cos, sin = (f(angle).repeat_interleave(2, -1) for f in (torch.cos, torch.sin))
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
    return x * cos + turned * sin


NORMS = {
    'normalize': lambda m, x: F.normalize(x, dim=-1),
    'normalize tokens': lambda m, x: F.normalize(m.last(x), dim=1),
    'rms_norm': lambda m, x: F.rms_norm(m.last(x), (16,)),
    'RMSNorm': lambda m, x: m.rms(m.last(x)),
    'group_norm': lambda m, x: F.group_norm(m.last(x).transpose(1, 2), 4),
    'GroupNorm': lambda m, x: m.group(m.last(x).transpose(1, 2)),
    'instance_norm': lambda m, x: F.instance_norm(m.last(x).transpose(1, 2)),
    'layer_norm of planes': lambda m, x: F.layer_norm(m.last(x), (5, 16)),
    'by hand': lambda m, x: (
        x * torch.rsqrt(m.last(x).pow(2).mean(-1, keepdim=True) + 1e-5)
    ),
    'rotary': lambda m, x: rotary(m.last(x)),
    'product with a constant': lambda m, x: x * torch.linspace(-1, 2, 16),
    'over a constant': lambda m, x: x / torch.linspace(1, 2, 16),
    'over a parameter': lambda m, x: x / (m.p + 2),
    'from a number': lambda m, x: 1 - x,
}


@pytest.mark.parametrize('name', NORMS)
def test_norms_and_constants(name):
    if 'rms' in name.lower() and not hasattr(nn, 'RMSNorm'):
        pytest.skip('torch 2.4 has it first')
    parts = dict(group=nn.GroupNorm(4, 16))
    if hasattr(nn, 'RMSNorm'):
        parts['rms'] = nn.RMSNorm(16)
    assert attempt(NORMS[name], **parts) > 30
