"""Quantized models, sessions and deployed programs in pickles, copies and processes."""

import copy
import io
import pickle

import pytest
import torch
from program_cases import quantized_swin, quantized_vit, vit_program
from region_models import Custom, Net, images, quantized, rows, same
from torch import nn

from iptq_mm.modes import bound_region
from iptq_mm.program import Deployed, use_backend

BACKENDS = [None, 'reference', 'native', 'onnx']


def through_torch(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = {
    'pickle': lambda model: pickle.loads(pickle.dumps(model)),
    'oldest pickle': lambda model: pickle.loads(pickle.dumps(model, protocol=0)),
    'torch.save': through_torch,
    'deepcopy': copy.deepcopy,
}


@pytest.fixture
def vit():
    return copy.deepcopy(quantized_vit())


@torch.no_grad()
@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('backend', BACKENDS)
def test_models(vit, way, backend):
    use_backend(vit, backend)
    x = images(2, 3, 32, 32)
    expected = vit(x)
    other = WAYS[way](vit)
    assert same(other(x), expected) and same(vit(x), expected)
    session = bound_region(other.backbone).session
    assert (session and session.name) == backend
    assert isinstance(other.backbone, type(quantized_vit().backbone).__mro__[2])
    assert list(other.state_dict()) == list(vit.state_dict())
    other.backbone.ln1.weight.neg_()
    assert same(vit(x), expected) and not same(other(x), expected)


@torch.no_grad()
def test_after_a_call_and_before_the_first():
    """What eager mode keeps is no part of a pickle."""
    net, x = copy.deepcopy(quantized_swin()), images(1, 3, 50, 70)
    before = len(pickle.dumps(net))
    expected = net(x)
    data = pickle.dumps(net)
    assert len(data) == before
    assert same(pickle.loads(data)(x), expected)


class Reduced(nn.Module):
    """A module with a way of its own to be pickled."""

    def __init__(self, dims=8):
        super().__init__()
        self.dims, self.norm, self.a = dims, nn.LayerNorm(dims), nn.Linear(dims, 4)

    def forward(self, x):
        return self.a(self.norm(x))

    def __reduce__(self):
        return Reduced, (self.dims,), vars(self)


@torch.no_grad()
def test_a_module_that_says_how_it_is_pickled():
    net = quantized(Reduced().eval(), [rows()])
    expected = net(rows())
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert bound_region(other.backbone) is not None
        assert same(other(rows()), expected)


@torch.no_grad()
def test_listeners_stay_behind():
    net = quantized(Custom(last), [rows()])
    bound_region(net.backbone).on_output = lambda name, outputs: None
    other = pickle.loads(pickle.dumps(net))
    assert bound_region(other.backbone).on_output is None
    assert bound_region(net.backbone).on_output is not None


def last(m, x):
    return m.last(x)


@torch.no_grad()
@pytest.mark.parametrize('backend', ['reference', 'native'])
@pytest.mark.parametrize('way', WAYS)
def test_deployed(way, backend):
    model = Deployed(vit_program(), backend)
    x = images(2, 3, 32, 32)
    assert same(WAYS[way](model)(x), model(x))


@torch.no_grad()
def test_roi_align_of_the_native_back_end():
    mmcv_ops = pytest.importorskip('mmcv.ops')
    net = copy.deepcopy(quantized_vit())
    net.roi_align = mmcv_ops.RoIAlign(3)
    use_backend(net, 'native')
    other = pickle.loads(pickle.dumps(net))
    x, boxes = torch.randn(1, 2, 8, 8), torch.tensor([[0, 1, 1, 6, 6.0]])
    assert same(other.roi_align(x, boxes), net.roi_align(x, boxes))
    use_backend(other, None)
    assert type(other.roi_align) is mmcv_ops.RoIAlign


def answer(model, x, queue):
    """What a worker does."""
    with torch.no_grad():
        queue.put(model(x)[0].numpy())


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('kind', ['eager', 'native', 'deployed'])
def test_workers_that_are_spawned(vit, kind):
    x = images(2, 3, 32, 32)
    expected = vit(x)[0]
    model: nn.Module | Deployed | Net = vit
    if kind == 'native':
        use_backend(vit, 'native')
    if kind == 'deployed':
        model = Deployed(vit_program())
    context = torch.multiprocessing.get_context('spawn')
    queue = context.Queue()
    worker = context.Process(target=answer, args=(model, x, queue))
    worker.start()
    try:
        made = queue.get(timeout=300)
    finally:
        worker.join(60)
    assert worker.exitcode == 0
    assert torch.equal(torch.from_numpy(made), expected)
