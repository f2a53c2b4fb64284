"""What has no rule is an error that names operation and module; nothing gets by."""

import numpy as np
import pytest
import torch
from region_models import Custom, attempt, bound, integer_mode, quantized, rows
from torch import nn
from torch.nn import functional as F

from iptq_mm.calibration.phases.observe_mode import Observing
from iptq_mm.qtensor import RULES, QTensor, UnsupportedOperationError, rule
from iptq_mm.record import RegionRecord

pytestmark = pytest.mark.usefixtures('no_grad')


class Block(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x)


def observe(body):
    """Run ``body`` within module ``block`` of a region."""
    module = Custom(lambda self, x: self.block(x), block=Block(body))
    with bound(module, Observing(RegionRecord())):
        return module(rows())


UNSUPPORTED = {
    'numpy': lambda x: x.numpy(),
    '__array__': np.asarray,
    'item': lambda x: x[0, 0, 0].item(),
    'tolist': lambda x: x.tolist(),
    'fft': lambda x: torch.fft.fft(x),
    'max': lambda x: x.max(1),
    'sin': torch.sin,
    'argmax': lambda x: x.argmax(-1),
    'cumsum': lambda x: x.cumsum(1),
    'topk': lambda x: x.topk(2),
    'atan2': lambda x: torch.atan2(x, x),
    'sort': lambda x: x.sort(),
    'masked_fill': lambda x: x.masked_fill(torch.ones(16) > 0, 0.0),
    'gt': lambda x: x > 0,
    'eq': lambda x: x == x,
    '__bool__': lambda x: bool(x[0, 0, 0]),
    '__float__': lambda x: float(x[0, 0, 0]),
    '__int__': lambda x: int(x[0, 0, 0]),
    '__setitem__': lambda x: x.__setitem__(0, 0.0),
    '__format__': lambda x: f'{x:.2f}',
    'data': lambda x: x.data,
    'cpu': lambda x: x.cpu(),
    'long': lambda x: x.long(),
    'untyped_storage': lambda x: x.untyped_storage(),
    '__dlpack__': lambda x: x.__dlpack__(),
    'alias': lambda x: x.as_subclass(torch.Tensor),
    '__deepcopy__': lambda x: __import__('copy').deepcopy(x),
    '__reduce_ex__': lambda x: __import__('pickle').dumps(x),
    'log_softmax': lambda x: F.log_softmax(x, -1),
    'interpolate': lambda x: F.interpolate(x, 8),
    'zero_': lambda x: x.zero_(),
    'copy_': lambda x: torch.zeros(4, 5, 16).copy_(x),
    'bernoulli': torch.bernoulli,
    'backward': lambda x: x.backward(),
}


@pytest.mark.parametrize('name', UNSUPPORTED)
def test_no_rule(name):
    with pytest.raises(UnsupportedOperationError) as caught:
        observe(UNSUPPORTED[name])
    message = str(caught.value)
    assert name.removeprefix('r') in message
    assert "module 'block'" in message and "region 'backbone'" in message


BEHIND = {
    'tensor': lambda x: torch.tensor(x),
    'aten': torch.ops.aten.relu,
    'out': lambda x: torch.add(torch.ones(1), 1, out=x),
    'masked index': lambda x: torch.zeros(4, 5, 16)[x],
    'index': lambda x: x[x],
    'sparse': lambda x: x.to_sparse(),
    'compiled': lambda x: torch.ops.aten.linear.default(x, torch.ones(3, 16)),
    'vmap': lambda x: torch.vmap(torch.sin)(x),
    'gelu_': lambda x: torch._C._nn.gelu_(x),
}


@pytest.mark.parametrize('name', BEHIND)
@pytest.mark.parametrize('integers', [False, True], ids=['float', 'integer'])
def test_nothing_gets_by(name, integers):
    def body(x):
        return BEHIND[name](x) if armed else x

    armed = not integers
    if not integers:
        with pytest.raises((UnsupportedOperationError, TypeError, RuntimeError)):
            observe(body)
        return
    net = quantized(Custom(lambda self, x: self.block(x), block=Block(body)), [rows()])
    armed = True
    with pytest.raises((UnsupportedOperationError, TypeError, RuntimeError)):
        net(rows())


def test_as_tensor_is_the_tensor_itself():
    observe(lambda x: x if torch.as_tensor(x) is x else None)


def test_dispatch_is_closed():
    def body(x):
        with torch._C.DisableTorchFunctionSubclass():
            return x + 1

    with pytest.raises(UnsupportedOperationError, match='behind the rule'):
        observe(body)


def test_repr_shows_no_numbers():
    text = []
    observe(lambda x: text.append(repr(x)) or x)
    assert 'QTensor((4, 5, 16), torch.float32' in text[0] and '.' in text[0]


@pytest.mark.parametrize(
    'body',
    [
        lambda self, x: F.linear(x, torch.ones(3, 16)),
        lambda self, x: F.linear(x, self.last.weight, torch.ones(16)),
        lambda self, x: x @ torch.ones(16, 3),
        lambda self, x: torch.ones(16, 4) @ x,
        lambda self, x: F.layer_norm(x, (16,), torch.ones(16)),
        lambda self, x: F.scaled_dot_product_attention(torch.ones(4, 5, 16), x, x),
        lambda self, x: F.scaled_dot_product_attention(x, x, torch.ones(4, 5, 16)),
        lambda self, x: torch.ones(4, 5, 16).add_(x),
        lambda self, x: F.linear(x, x[0]),
        lambda self, x: F.linear(x, self.last.weight, x[0, 0]),
        lambda self, x: F.layer_norm(x, (16,), x[0, 0]),
        lambda self, x: F.linear(x, self.last.weight[:4]),
        lambda self, x: F.linear(x, self.last.weight * 2),
        lambda self, x: F.linear(x, self.last.weight.t()),
        lambda self, x: F.dropout(x, 0.5, training=True),
        lambda self, x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
        lambda self, x: F.adaptive_avg_pool2d(x[None], 2),
        lambda self, x: F.unfold(x[None], 2, dilation=2),
        lambda self, x: x.to(torch.int32),
        lambda self, x: x.view(torch.int32),
        lambda self, x: x * float('nan'),
        lambda self, x: x * float('inf'),
        lambda self, x: torch.mean(x, 0, out=torch.zeros(5, 16)),
        lambda self, x: torch.cat([x, x], out=torch.zeros(8, 5, 16)),
    ],
)
def test_arguments_without_a_rule(body):
    module = Custom(body)
    with (
        bound(module, Observing(RegionRecord())),
        pytest.raises(UnsupportedOperationError, match="region 'backbone', module"),
    ):
        module(rows())


@pytest.mark.parametrize(
    'body',
    [
        lambda self, x: F.linear(input=x, weight=self.last.weight, bias=self.last.bias),
        lambda self, x: torch.add(input=x, other=x),
        lambda self, x: torch.add(x, x, alpha=3),
        lambda self, x: torch.sub(x, self.last(x), alpha=2),
        lambda self, x: torch.matmul(input=x, other=x.mT),
        lambda self, x: torch.bmm(x, x.transpose(1, 2)),
        lambda self, x: F.layer_norm(
            input=x, normalized_shape=(16,), weight=self.p[0, 0]
        ),
        lambda self, x: F.gelu(x, approximate='tanh'),
        lambda self, x: torch.softmax(x, dim=1),
        lambda self, x: x.softmax(-1, dtype=torch.float32),
        lambda self, x: F.scaled_dot_product_attention(x, x, x),
        lambda self, x: F.scaled_dot_product_attention(
            x, x, x, attn_mask=torch.ones(5, 5).tril() > 0, scale=0.1
        ),
        lambda self, x: torch.cat(tensors=(x, x), dim=-1),
        lambda self, x: torch.cat((x, torch.ones(4, 5, 2)), -1),
        lambda self, x: F.pad(x, (0, 1), value=1.0),
        lambda self, x: F.pad(x, (1, 2, 0, 0, 0, 3), value=-0.5),
        lambda self, x: x.mean(1),
        lambda self, x: x.mean((-1, 0), keepdim=True),
        lambda self, x: torch.mean(x, dim=1, dtype=torch.float32),
        lambda self, x: F.adaptive_avg_pool1d(x, 1),
        lambda self, x: F.adaptive_avg_pool1d(x, 2),
        lambda self, x: x * torch.ones(16) / torch.full((16,), 2.0),
        lambda self, x: F.relu(self.p * 2, inplace=True) + x,
        lambda self, x: F.adaptive_avg_pool2d(x[None], (1, 1)),
        lambda self, x: self.p.expand_as(x) + x,
        lambda self, x: x.to(torch.float16).double().type_as(x),
        lambda self, x: torch.ones(3).to(x).sum() * x,
        lambda self, x: x * torch.full((1, 1, 1, 1), 2.0),
        lambda self, x: -x * 2 / -3 - 0.25 + torch.ones(16),
        lambda self, x: x * 0.0 + x,
        lambda self, x: F.dropout(x, 0.5, training=False),
        lambda self, x: x * self.p,
        lambda self, x: F.conv2d(x[None], self.conv.weight, padding='same'),
        lambda self, x: F.conv2d(x[None], self.conv.weight, padding='valid'),
        lambda self, x: F.conv2d(
            x[None], self.conv.weight, padding='same', dilation=(2, 1)
        ),
        lambda self, x: self.conv(x[None]),
    ],
)
def test_ways_to_say_it(body):
    parts = {}
    if 'conv' in body.__code__.co_names:
        parts['conv'] = nn.Conv2d(4, 6, 3, padding=1)
    assert attempt(body, **parts) > 22


def test_a_rule_can_be_added_once():
    def double(x):
        return torch.overrides.handle_torch_function(double, (x,), x)

    @rule(double)
    def _double(mode, x):
        return x.scaled(2.0)

    try:
        assert attempt(lambda self, x: double(x) if isinstance(x, QTensor) else 2 * x)
        with pytest.raises(KeyError, match='has a rule already'):
            rule(double)(lambda mode, x: x)
    finally:
        del RULES[double]


def test_integers_look_like_float32():
    def body(self, x):
        assert x.dtype == torch.float32 and x.is_floating_point()
        assert torch.is_floating_point(x) and not x.is_cuda
        assert x.shape == (4, 5, 16) and x.ndim == x.dim() == 3 and len(x) == 4
        assert x.numel() == 320 and x.device.type == 'cpu' and x.size(-1) == 16
        assert not x.requires_grad and x.is_contiguous()
        assert torch.zeros_like(x).dtype == x.new_zeros(3).dtype == torch.float32
        assert torch.zeros_like(x, dtype=torch.bool).dtype == torch.bool
        return x

    net = quantized(Custom(body), [rows()])
    assert integer_mode(net).plan.sites
    net(rows())
