"""Powers of two where linear layers read the residual stream itself."""

import pytest
import torch
from equalization_cases import PostNorm, Stream, computed, equalized, error
from region_models import config, rows, same, sqnr
from torch import nn

from iptq_mm.calibration import analyse, assign, freeze_regions, observe
from iptq_mm.program import use_backend
from iptq_mm.program.audit import audit_model
from iptq_mm.program.runtime.step_times import native_programs, step_times

CFG = dict(type='power_of_two', linear=True)
ROWS = [rows(seed=s) for s in range(3)]
NEW = rows(4, seed=9)


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def found(module, *equalizers):
    """Float model, integer model."""
    cfg = config(equalization=list(equalizers))
    net, done = equalized(module, ROWS, *equalizers)
    records = observe(net, cfg, net, ROWS, done.powers)
    analyse(net, cfg, records, net, ROWS)
    plans = assign(net, cfg, records)
    freeze_regions(net, cfg, plans)
    return net, done


def test_what_linear_layers_read_has_like_ranges():
    module = PostNorm()
    net, done = equalized(module, ROWS, CFG)
    # By the two linear layers that read the stream.
    assert done.sites == {'power_of_two': 2}
    assert set(done.powers['backbone']) == {'n1/layer_norm:0', 'n2/layer_norm:0'}
    assert error(module(NEW), computed(net, done, NEW)) < 1e-6
    for name in ('n0', 'n1'):
        made = net.backbone.get_submodule(name).weight
        assert made.abs().max() <= 40 / 2**3


def test_where_linear_layers_alone_read_the_stream():
    """Blocks may add what they normalized: no shift is left."""

    class Added(PostNorm):
        def forward(self, x):
            x = self.n0(self.first(x)) + self.p
            x = x + self.n1(self.down(nn.functional.gelu(self.up(x))))
            return self.last(x)

    module = Added()
    net, done = equalized(module, ROWS, CFG)
    assert done.sites == {'power_of_two': 2} and done.powers == {'backbone': {}}
    assert error(module(NEW), net(NEW)) < 1e-6


def test_nothing_changes_where_layer_norms_alone_read_it():
    module = Stream(lambda self, x: self.last(self.norm(x)))
    net, done = equalized(module, ROWS, CFG)
    assert done.sites == {'power_of_two': 0} and done.powers == {'backbone': {}}
    for old, new in zip(module.parameters(), net.backbone.parameters(), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize('norm', [True, False])
def test_few_bits_hold_more_of_the_stream(norm):
    """Integers of 8 bits; LayerNorm takes the shifted sums at 16."""
    module = PostNorm(norm)
    plain, _ = found(module)
    net, done = found(module, CFG)
    assert done.powers['backbone']
    expected = module(NEW)
    assert sqnr(expected, net(NEW)) > sqnr(expected, plain(NEW)) + 2
    integers = net(NEW)
    assert audit_model(net, lambda: net(NEW)).holds
    for backend in ('reference', 'native', 'onnx'):
        use_backend(net, backend)
        assert same(net(NEW), integers)


def test_native_shifts_and_rounds_in_one_command():
    net, done = found(PostNorm(), CFG)
    use_backend(net, 'native')
    net(NEW)
    (native,) = native_programs(net).values()
    kinds = [step.kinds for step in step_times(native, 1)]
    shifts = [k for k in kinds if 'shift_channels' in k]
    assert len(shifts) == len(done.powers['backbone']) == 2
    assert all('requantize' in k for k in shifts)
