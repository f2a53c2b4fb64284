"""The integer mode on whole (tiny) models of every family."""

import copy

import pytest
import torch
from region_models import (
    FAMILIES,
    Custom,
    bound,
    calibrated,
    config,
    images,
    integer_mode,
    quantized,
    rows,
    same,
    sqnr,
    tensors,
    vit,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from iptq_mm.calibration import freeze_regions
from iptq_mm.intmath.product import reference_products
from iptq_mm.modes import Integer
from iptq_mm.out_of_range import OutOfRangeLog
from iptq_mm.plan import RegionPlan
from iptq_mm.qtensor import UnsupportedOperationError
from iptq_mm.utils.trees import tree_leaves

pytestmark = pytest.mark.usefixtures('no_grad')

# Sizes other than the calibrated 32x32: padding, not square, one window, less than
# one (mmpretrain's Swin refuses that itself), and for ViT a resized embedding.
SIZES = [(32, 32), (48, 40), (64, 24), (16, 64), (8, 8), (8, 24)]
REFUSED = {('mmpretrain_swin', (8, 24)), ('mmpretrain_swin', (8, 8))}


@pytest.fixture(scope='module', params=list(FAMILIES))
def family(request):
    """Name, float model, integer model."""
    with torch.no_grad():
        model = FAMILIES[request.param]()
        batches = [images(4, 3, 32, 32, seed=s) for s in range(3)]
        return request.param, model, quantized(model, batches)


@pytest.mark.parametrize('size', SIZES, ids=str)
def test_outputs_are_close_at_any_size(family, size):
    name, model, net = family
    if (name, size) in REFUSED:
        pytest.skip('smaller than the window, which this model refuses')
    x = images(2, 3, *size, seed=11)
    # W8A8 of random weights: 24 to 33 dB, as measured.
    assert sqnr(model(x), net(x)) > 20


def test_same_number_of_tokens_in_another_shape():
    """Constants are kept by their values, not only by their shapes."""
    model = vit()
    net = quantized(model, [images(4, 3, 32, 32, seed=s) for s in range(2)])
    for size in ((32, 32), (16, 64), (64, 16), (8, 128), (32, 32)):
        x = images(2, 3, *size, seed=3)
        assert sqnr(model(x), net(x)) > 20, size


@pytest.mark.parametrize('size', [(32, 32), (48, 40)], ids=str)
def test_batch_is_batch_of_singles(family, size):
    _, _, net = family
    x = images(3, 3, *size, seed=5)
    together = tensors(net(x))
    singles = [tensors(net(image[None])) for image in x]
    for i, output in enumerate(together):
        assert torch.equal(output, torch.cat([s[i] for s in singles]))


@pytest.mark.parametrize('size', [(32, 32), (48, 40)], ids=str)
def test_fast_path_is_the_reference(family, size):
    _, _, net = family
    x = images(2, 3, *size, seed=6)
    fast = net(x)
    with reference_products():
        assert same(fast, net(x))


def test_autocast_and_narrow_products_change_nothing(family):
    _, _, net = family
    x = images(1, 3, 32, 32, seed=7)
    expected = net(x)
    with torch.autocast('cpu', torch.bfloat16):
        assert same(expected, net(x))
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('medium')
    try:
        assert same(expected, net(x))
    finally:
        torch.set_float32_matmul_precision(previous)


class Integrity(TorchDispatchMode):
    """Fails where anything that depends on the input becomes a float or a number.

    What depends on parameters and shapes only (masks, resized embeddings, the
    constants themselves) may be computed in floats.
    """

    def __init__(self) -> None:
        super().__init__()
        self.marked: dict[int, Tensor] = {}  # kept, so that no id is used twice
        self.operations = 0

    def mark(self, value: Tensor) -> None:
        assert not value.is_floating_point()
        self.marked[id(value)] = value

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if any(id(x) in self.marked for x in tree_leaves((args, kwargs))):
            self.operations += 1
            for value in tree_leaves(out):
                if isinstance(value, Tensor):
                    assert not value.is_floating_point(), f'{func}: {value.dtype}'
                    self.mark(value)
                else:
                    assert value is None, f'{func} lets a number out: {value}'
        return out

    def watch(self, mode, monkeypatch) -> None:
        """Mark what enters; look away where a region's border is crossed."""
        enter, leave = mode.enter, mode.leave

        def watched(name, value):
            with _disable_current_modes():
                x = enter(name, value)
            self.mark(x.payload)
            return x

        def unwatched(x):
            with _disable_current_modes():
                return leave(x)

        monkeypatch.setattr(mode, 'enter', watched)
        monkeypatch.setattr(mode, 'leave', unwatched)


@pytest.mark.parametrize('size', [(32, 32), (48, 40)], ids=str)
def test_no_float_between_enter_and_leave(family, size, monkeypatch):
    _, _, net = family
    x = images(2, 3, *size, seed=8)
    expected = net(x)
    integrity = Integrity()
    integrity.watch(integer_mode(net), monkeypatch)
    with reference_products(), integrity:
        outputs = net(x)
    assert integrity.operations > 500
    assert same(expected, outputs)


def test_integrity_notices_a_float(monkeypatch):
    """The watcher of the test above is awake."""
    net = quantized(Custom(lambda self, x: x @ x.transpose(-2, -1)), [rows()])
    integrity = Integrity()
    integrity.watch(integer_mode(net), monkeypatch)
    with integrity, pytest.raises(AssertionError, match='float'):
        net(rows())  # the fast path carries integers in floats


def test_what_is_clipped_is_counted():
    net = quantized(vit(), [images(4, 3, 32, 32, seed=s) for s in range(3)])
    mode = integer_mode(net)
    x = images(4, 3, 32, 32, seed=1)
    net(x)
    assert mode.log is None
    mode.log = log = OutOfRangeLog()
    net(x)
    few = sum(s.outside for s in log.sites.values())
    sites = {s for s in log.sites if '<-' not in s}
    assert sites == {*mode.plan.sites, *mode.plan.inputs}
    assert log.rows == log.counted == 4
    for name, seen in log.sites.items():
        assert 0 <= seen.outside <= seen.total and seen.total > 0
        planned = mode.plan.sites.get(name)
        if planned is not None:
            assert seen.width == planned.output.qmax - planned.output.qmin
    mode.log = log = OutOfRangeLog()
    net(20 * x)
    assert sum(s.outside for s in log.sites.values()) > 10 * (few + 1)
    assert log.sites['input:0'].share > 0.5


def test_requantized_operands_are_counted():
    """What a linear layer clips off its 16-bit input counts at its site."""
    net = quantized(Custom(lambda self, x: self.norm(x) + self.last(x)), [rows()])
    mode = integer_mode(net)
    narrowed = [s for s, p in mode.plan.sites.items() if p.inputs]
    assert narrowed == ['last/linear:0']
    mode.log = log = OutOfRangeLog()
    net(100 * rows())
    assert 'last/linear:0<-norm/layer_norm:0' in log.sites


def test_empty_batch():
    net = quantized(Custom(lambda self, x: self.last(x)), [rows()])
    assert net(torch.zeros(0, 5, 8)).shape == (0, 5, 16)


def test_long_rows_of_16_bit_probabilities():
    """More tokens than 32-bit sums of 16-bit times 8-bit products hold."""
    body = Custom(lambda self, x: (x @ x.transpose(-2, -1)).softmax(-1) @ x)
    x = rows(1, 700)
    net = quantized(body, [x])
    with reference_products():
        expected = net(x)
    assert same(net(x), expected)
    assert sqnr(body(x), expected) > 25


def test_an_unseen_site_is_an_error():
    def body(self, x):
        return self.last(x) if len(x) == 1 else self.last(self.last(x))

    net = quantized(Custom(body), [rows(1, 5)])
    with pytest.raises(UnsupportedOperationError, match=r'last/linear:1.*calibrat'):
        net(rows(2, 5))


def test_an_unseen_input_is_an_error():
    identity = torch.nn.Identity()
    with (
        bound(identity, Integer(RegionPlan('Identity'))),
        pytest.raises(UnsupportedOperationError, match='input:0 was not seen'),
    ):
        identity(rows())


def test_loading_other_integers_renews_constants():
    """What was made of old parameters (bias offsets, folded tables) is void."""

    def body(self, x):
        return self.last(x) + (self.p * 2.0)

    module = Custom(body)
    net, plan, _ = calibrated(module, [rows()])
    freeze_regions(net, config(), {'backbone': plan})
    x = rows()
    first = net(x)
    state = copy.deepcopy(net.state_dict())
    other = copy.deepcopy(state)
    for key in ('backbone.last.bias', 'backbone.p', 'backbone.last.weight'):
        other[key] = -other[key]
    net.load_state_dict(other)
    second = net(x)
    assert not same(first, second)
    assert sqnr(-first, second) > 30  # everything changed sign
    net.load_state_dict(state)
    assert same(first, net(x))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_gpu_gives_the_same_bits(family):
    _, _, net = family
    x = images(2, 3, 48, 40, seed=4)
    expected = net(x)
    outputs = copy.deepcopy(net).cuda()(x.cuda())
    assert same(expected, [o.cpu() for o in tensors(outputs)])
