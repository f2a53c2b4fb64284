"""In-place operations do what torch does, or are an error: never half of it."""

import pytest
import torch
from region_models import Custom, attempt, bound, quantized, rows, sqnr

from iptq_mm.calibration.phases.observe_mode import Observing
from iptq_mm.qtensor import UnsupportedOperationError
from iptq_mm.record import RegionRecord


def in_place_on_new(self, x):
    y = self.last(x)
    y += x
    y *= 2.0
    y -= 0.5
    y /= 4
    y.mul_(self.p).add_(x, alpha=0.5).sub_(1.0).div_(3.0)
    return y


def through_another_name(self, x):
    same = x
    x += self.last(x)
    return same + x


def view_then_only_the_view(self, x):
    y = self.last(x).view(-1, 16)
    y += 3.0
    return y


def parts_of_one(self, x):
    """q, k and v share memory but no element."""
    y = self.last(x)
    q, k = y[..., :8], y[..., 8:]
    q *= 0.1
    return q @ k.transpose(-2, -1)


def copies(self, x):
    y, z, w = x.clone(), x.double(), x + 0
    y += 1.0
    z *= 3.0
    w -= 2.0
    return self.last(x) + y + z + w


def rolled(self, x):
    y = x.roll(1, 1)
    x += 1.0
    return self.last(y) + x


def scaled_is_new(self, x):
    y = x * 2
    y += 1.0
    return self.last(x) + y


def shape_of_the_overwritten(self, x):
    y = x.view(-1, 16)
    y += 1.0
    return y.view(x.shape[0], x.size(1), 16)


def constant_then_activation(self, x):
    y = (self.p * 2.0).repeat(x.shape[0], x.shape[1], 1)
    y += x
    return self.last(y)


def cached_constant(self, x):
    y = torch.cat([self.p, self.p], 1).repeat(len(x), 1, 1)
    y = y * 1.0
    y += x[:, :2]
    return self.last(y)


def constant_with_constant(self, x):
    y = self.p * 2.0
    y += self.p
    y *= 0.5
    return x + y


def dropout_is_the_same_tensor(self, x):
    y = torch.nn.functional.dropout(x, 0.1, training=False)
    y += 1.0
    return self.last(x)


FINE = [
    in_place_on_new,
    through_another_name,
    view_then_only_the_view,
    parts_of_one,
    copies,
    rolled,
    scaled_is_new,
    shape_of_the_overwritten,
    constant_then_activation,
    cached_constant,
    constant_with_constant,
    dropout_is_the_same_tensor,
]


@pytest.mark.parametrize('body', FINE, ids=lambda f: f.__name__)
def test_as_torch(body):
    assert attempt(body) > 22


@pytest.mark.parametrize('body', FINE, ids=lambda f: f.__name__)
def test_observing_as_torch(body):
    module = Custom(body)
    with torch.no_grad():
        expected = module(rows())
        with bound(module, Observing(RegionRecord())):
            torch.testing.assert_close(module(rows()), expected, check_dtype=False)


def test_a_region_that_writes_to_its_input():
    def body(self, x):
        return self.last(x)

    class Writes(Custom):
        def forward(self, x):
            x *= 2.0
            return super().forward(x)

    module, x = Writes(body), rows()
    with torch.no_grad():
        net = quantized(module, [rows()])
        assert sqnr(module(rows()), net(x)) > 22
    assert torch.equal(x, rows())  # the caller's tensor is left alone


HALF_DONE = {
    'base of a written view': lambda self, x: (x[:, 0].add_(1.0), self.last(x))[1],
    'view of a written base': lambda self, x: (x[:, 0], x.add_(1.0))[0] * 2,
    'view of a view': lambda self, x: (
        (
            x.transpose(0, 1)[1:],
            x.view(-1, 16).mul_(2.0),
        )[0]
        + 1
    ),
    'output': lambda self, x: (x.unbind(1)[0].mul_(self.p[0]), x)[1],
    'expanded': lambda self, x: (
        (
            x[:, :1].expand(-1, 3, -1),
            x.add_(1.0),
        )[0]
        + 1
    ),
    'parameter': lambda self, x: x + self.p.fill_(1.0),
    'setitem': lambda self, x: (self.p.__setitem__(0, 1.0), x + self.p)[1],
    'folded': lambda self, x: x + (self.p * 2.0).clamp_(-1, 1),
    'inplace': lambda self, x: x + torch.nn.functional.relu(self.p, inplace=True),
    'out': lambda self, x: x + torch.exp(self.p, out=torch.zeros(1, 1, 16)),
    'plain': lambda self, x: torch.zeros(4, 5, 16).add_(x),
    'plain with parameter': lambda self, x: x + torch.zeros(1, 1, 16).add_(self.p),
    'broadcast': lambda self, x: x[:1].add_(x),
}


@pytest.mark.parametrize('name', HALF_DONE)
def test_half_done_is_an_error(name):
    module = Custom(HALF_DONE[name])
    values = [p.clone() for p in module.parameters()]
    with (
        torch.no_grad(),
        bound(module, Observing(RegionRecord())),
        pytest.raises(
            (UnsupportedOperationError, RuntimeError), match='place|float|new tensor'
        ),
    ):
        module(rows())
    assert all(map(torch.equal, values, module.parameters()))
