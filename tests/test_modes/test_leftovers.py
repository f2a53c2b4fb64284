"""Calls of a region leave nothing of themselves in its modules."""

import pytest
import torch
from derived_models import CACHING, Derives
from region_models import Net, bound, config, quantized, rows, same, sqnr
from test_real_parameters import reloaded
from torch import nn

from iptq_mm.calibration import observe
from iptq_mm.modes.base import FloatMode
from iptq_mm.program import use_backend
from iptq_mm.qtensor import QTensor, UnsupportedOperationError

pytestmark = pytest.mark.usefixtures('no_grad')


@pytest.mark.parametrize('kind', CACHING)
def test_caches_follow_the_integers(kind):
    expected = Derives()(rows())
    net = quantized(kind(), [rows()])
    before = {k: v for k, v in vars(net.backbone).items() if k[0] != '_'}
    result = net(rows())
    assert sqnr(expected, result) > 30
    assert same(result, net(rows()))
    assert {k: v for k, v in vars(net.backbone).items() if k[0] != '_'} == before
    assert same(result, reloaded(kind, net)(rows()))
    for value in net.backbone.table, net.backbone.last.weight:
        value.zero_()  # other integers: whatever was made of the old ones is void
    assert not same(result, net(rows()))
    use_backend(net, 'reference')
    by_program = net(rows())
    use_backend(net, None)
    assert same(by_program, net(rows()))


def test_other_attributes_stay_as_the_code_left_them():
    class Notes(Derives):
        def forward(self, x):
            self.shape, self.calls = x.shape[1:], getattr(self, 'calls', 0) + 1
            return super().forward(x)

    net = quantized(Notes(), [rows()])
    before = net.backbone.calls
    net(rows())
    assert net.backbone.calls == before + 1
    assert tuple(net.backbone.shape) == (5, 8)


class Leaves(Derives):
    """Keeps what it made of its input."""

    def prepare(self):
        self.seen = None
        self.all = []

    def forward(self, x):
        self.hidden = self.norm(self.first(x))
        self.seen = {'last': [self.hidden]}
        self.all.append(self.hidden)
        return self.last(self.hidden)


def test_values_that_nobody_reads():
    net = quantized(Leaves(), [rows()])
    net(rows())
    assert net.backbone.seen is None and net.backbone.all == []
    assert not hasattr(net.backbone, 'hidden')


READERS = {
    'attribute': lambda part: part.hidden + 1,
    'method': lambda part: part.hidden.mean(),
    'function': lambda part: torch.relu(part.hidden),
    'in a dict': lambda part: part.seen['last'][0] * 2,
    'in a list': lambda part: part.all[-1].sum(),
    'truth': lambda part: bool(part.hidden.sum() > 0),
    'device': lambda part: part.hidden.device,
    'stack': lambda part: torch.stack([part.hidden, part.hidden]),
}


@pytest.mark.parametrize('reader', READERS)
def test_values_that_other_code_reads(reader):
    class Reads(Net):
        def forward(self, x):
            y = self.backbone(x)
            READERS[reader](self.backbone)
            return y

    net = Reads(Leaves())
    net(rows())  # the float model may
    net = Reads(Leaves())
    with pytest.raises(
        UnsupportedOperationError, match=r'keeps a value that a call .* return'
    ):
        observe(net, config(), net, [rows()])
    # Nothing is left of the attempt.
    assert net.backbone.seen is None and net.backbone.all == []
    assert not hasattr(net.backbone, 'hidden')


def test_values_that_the_next_call_reads():
    class Remembers(Derives):
        def prepare(self):
            self.state = None

        def forward(self, x):
            x = self.norm(self.first(x))
            if self.state is not None:
                x = x + self.state
            self.state = x
            return self.last(x)

    net = Net(Remembers())
    message = "attribute 'state' of module '.itself.' keeps"
    with pytest.raises(UnsupportedOperationError, match=message):
        observe(net, config(), net, [rows(), rows()])
    assert net.backbone.state is None


def test_modules_within_the_region_are_named():
    class Outer(Derives):
        def prepare(self):
            self.inner = Leaves()

        def forward(self, x):
            return self.inner(x)

    module = Outer()
    with bound(module, FloatMode()):
        module(rows())
        with pytest.raises(
            UnsupportedOperationError, match="'hidden' of module 'inner"
        ):
            module.inner.hidden.sum()


def test_a_call_that_fails_leaves_nothing():
    class Fails(Leaves):
        def forward(self, x):
            super().forward(x)
            raise ZeroDivisionError

    module = Fails()
    with bound(module, FloatMode()), pytest.raises(ZeroDivisionError):
        module(rows())
    kept = [*vars(module).values(), *module.all]
    assert not any(isinstance(x, QTensor) for x in kept)


NORMS = [
    nn.utils.weight_norm,
    nn.utils.spectral_norm,
    nn.utils.parametrizations.weight_norm,
    nn.utils.parametrizations.spectral_norm,
]


@pytest.mark.parametrize('norm', NORMS)
def test_normalized_weights(norm):
    """Hooks or parametrizations derive them in each call: refused, with the way out."""

    class Normed(Derives):
        def prepare(self):
            self.last = norm(self.last)

    with pytest.raises(UnsupportedOperationError, match=r"'last'.*parametrizations\("):
        quantized(Normed(), [rows()])


@pytest.mark.parametrize('norm', NORMS[2:])
def test_normalized_tables(norm):
    """What is no weight of a layer is an expression of parameters as any other."""

    class Normed(Derives):
        def __init__(self):
            super().__init__()
            norm(self, 'table').eval()

    module = Normed()
    net = quantized(module, [rows()])
    assert sqnr(module(rows()), net(rows())) > 30
    assert same(net(rows()), reloaded(Normed, net)(rows()))
