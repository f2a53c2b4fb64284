"""Binding: everything comes back, whatever happens in between."""

import copy
import threading

import pytest
import torch
from region_models import Custom, Net, bound, mmdet_swin, quantized, rows, same, tensors
from torch import nn

from iptq_mm.calibration.phases.observe_mode import Observing
from iptq_mm.modes import Region, bind, bound_region, regions_in, running, unbind
from iptq_mm.qtensor import QTensor, UnsupportedOperationError
from iptq_mm.qtensor.context import current_location
from iptq_mm.record import RegionRecord

pytestmark = pytest.mark.usefixtures('no_grad')


def fingerprint(module):
    """Classes, parameters (themselves) and hooks of a module and its children."""
    return [
        (
            type(child),
            {n: id(p) for n, p in child._parameters.items()},
            list(child._forward_hooks),
            list(child._forward_pre_hooks),
            sorted(child.__dict__),
        )
        for child in module.modules()
    ]


def test_everything_is_restored():
    net = Net(mmdet_swin())
    before = fingerprint(net)
    values = [p.clone() for p in net.parameters()]
    with running(net, {'backbone': Observing(RegionRecord())}):
        assert fingerprint(net) != before
        assert isinstance(net.backbone, before[1][0])
        net(torch.randn(1, 3, 32, 32))
    assert fingerprint(net) == before
    assert all(map(torch.equal, values, net.parameters()))


@pytest.mark.parametrize(
    'failure', [ValueError('mine'), KeyboardInterrupt(), UnsupportedOperationError('x')]
)
def test_everything_is_restored_after_an_exception(failure):
    calls = []

    def body(self, x):
        calls.append(x)
        if len(calls) == 1:
            raise failure
        return self.last(x)

    net = Net(Custom(body))
    before = fingerprint(net)
    record = RegionRecord()
    with running(net, {'backbone': Observing(record)}):
        inside = fingerprint(net)
        with pytest.raises(type(failure)):
            net(rows())
        assert current_location() is None
        assert fingerprint(net) == inside  # parameters are back already
        net(rows())  # and it works, with the right names
    assert list(record.operations)[-1] == 'last/linear:0'
    assert fingerprint(net) == before


def test_path_after_an_exception_that_the_model_catches():
    class Fragile(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x)

    def body(self, x):
        try:
            self.fragile(x)
        except UnsupportedOperationError as error:
            self.message = str(error)
        return self.last(x) + x

    record = RegionRecord()
    module = Custom(body, fragile=Fragile())
    with bound(module, Observing(record)):
        module(rows())
    assert "module 'fragile'" in module.message
    assert list(record.operations)[-2:] == ['last/linear:0', '/add:0']


def test_running_restores_what_it_bound_before_a_wrong_name():
    net = Net(Custom(lambda self, x: x))
    before = fingerprint(net)
    modes = {'backbone': Observing(RegionRecord()), 'nowhere': None}
    with pytest.raises(AttributeError, match='nowhere'), running(net, modes):
        pass
    assert fingerprint(net) == before


def test_a_region_without_mode_says_what_to_do():
    module = Custom(lambda self, x: x)
    bind(module, Region('backbone'))
    with pytest.raises(RuntimeError, match='load a checkpoint'):
        module(rows())
    with pytest.raises(RuntimeError, match='bound already'):
        bind(module, Region('other'))
    unbind(module)
    assert bound_region(module) is None and regions_in(module) == {}


def test_nested_regions_are_an_error():
    inner = Custom(lambda self, x: x)
    outer = Custom(lambda self, x: self.inner(x), inner=inner)
    modes = {'': Observing(RegionRecord()), 'inner': Observing(RegionRecord())}
    with running(outer, modes), pytest.raises(RuntimeError, match='inside another'):
        outer(rows())


def test_outputs_of_any_structure():
    def body(self, x):
        return {'a': [x, (x * 2,)], 'b': None, 'c': 3, 'd': self.p + 1}

    module = Custom(body)
    with bound(module, Observing(RegionRecord())):
        out = module(rows())
    assert out['b'] is None and out['c'] == 3
    assert len(tensors(out)) == 3
    assert not any(isinstance(t, QTensor) for t in tensors(out))
    assert torch.equal(out['d'], module.p + 1)


def test_inputs_of_any_structure():
    class Many(nn.Module):
        def forward(self, a, pair, *, scalar, ids, flag=True):
            assert ids.dtype == torch.int64 and flag is False
            return a + pair[0] + pair[1]['x'] + scalar

    module, record = Many(), RegionRecord()
    x = torch.randn(2, 3)
    with bound(module, Observing(record)):
        scalar = torch.tensor(2.0)
        out = module(x, (x, {'x': x}), scalar=scalar, ids=torch.arange(3), flag=False)
    torch.testing.assert_close(out, 3 * x + 2)
    assert sorted(record.values)[-4:] == [f'input:{i}' for i in range(4)]


def test_a_tensor_that_left_its_region_is_useless():
    kept = []
    module = Custom(lambda self, x: kept.append(x) or x)
    with bound(module, Observing(RegionRecord())):
        module(rows())
    with pytest.raises(UnsupportedOperationError, match='left its region'):
        kept[0] + 1


def test_copies_are_independent():
    net = quantized(Custom(lambda self, x: self.last(x)), [rows()])
    other = copy.deepcopy(net)
    x = rows(seed=3)
    expected = net(x)
    assert same(other(x), expected)
    other.backbone.last.weight.data.zero_()
    assert same(net(x), expected) and not same(other(x), expected)
    unbind(other.backbone)
    assert same(net(x), expected) and bound_region(other.backbone) is None
    assert not other.backbone.first._forward_hooks


def test_threads_have_locations_of_their_own():
    """A tensor operation elsewhere is not taken for one of the region."""
    seen = []

    def body(self, x):
        thread = threading.Thread(target=lambda: seen.append(current_location()))
        thread.start()
        thread.join()
        return self.last(x)

    with bound(module := Custom(body), Observing(RegionRecord())):
        module(rows())
    assert seen == [None]


def test_half_precision_inputs_and_no_inputs():
    module, record = Custom(lambda self, x: self.last(x)), RegionRecord()
    with bound(module, Observing(record)):
        out = module(rows().half())
    torch.testing.assert_close(out, module(rows().half().float()))
