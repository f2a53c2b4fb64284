"""Sessions: regions run by programs, and nobody notices."""

import copy
import pickle

import pytest
import torch
from program_cases import quantized_vit
from region_models import Custom, Net, images, mmdet_swin, quantized, rows, same
from torch import nn

from iptq_mm.modes import Integer, bound_region
from iptq_mm.out_of_range import OutOfRangeLog
from iptq_mm.program import Session, use_backend
from iptq_mm.program.runtime import programs as kept
from iptq_mm.qtensor import UnsupportedOperationError


def with_session(net: nn.Module, backend: str = 'reference') -> Session:
    use_backend(net, backend)
    found = bound_region(net.get_submodule('backbone')).session
    assert isinstance(found, Session)
    return found


def fresh(body=lambda m, x: m.last(x)) -> Net:
    return quantized(Custom(body), [rows(seed=s) for s in range(2)])


@torch.no_grad()
def test_sizes_get_programs_of_their_own():
    net = quantized(mmdet_swin(), [images(1, 3, 64, 64), images(2, 3, 50, 70)])
    inputs = [images(1, 3, 64, 64), images(2, 3, 50, 70), images(1, 3, 64, 64, seed=3)]
    expected = [net(x) for x in inputs]
    running = with_session(net)
    assert all(same(net(x), y) for x, y in zip(inputs, expected, strict=True))
    assert len(running.programs) == 2
    some, other = (p.program.tensors for p in running.programs)
    shared = [n for n in some if n in other and some[n] is other[n]]
    assert 'patch_embed.projection.weight' in shared


@torch.no_grad()
def test_old_programs_are_dropped(monkeypatch):
    monkeypatch.setattr(kept, 'MAX_PROGRAMS', 2)
    net = fresh()
    running = with_session(net)
    for n in (1, 2, 1, 3):
        net(rows(n, 5))
    left = [p.program.values[0].shape for p in running.programs]
    assert left == [(1, 5, 8), (3, 5, 8)]


@torch.no_grad()
def test_eager_mode_comes_back():
    net = fresh()
    with_session(net)
    use_backend(net, None)
    assert bound_region(net.backbone).session is None


@torch.no_grad()
def test_changed_weights_and_plans_are_seen():
    net = fresh()
    running = with_session(net)
    before, x = net(rows()), rows()
    net.backbone.last.weight.neg_()
    use_backend(net, None)
    expected = net(x)
    bound_region(net.backbone).session = running
    assert same(net(x), expected) and not same(expected, before)
    mode = bound_region(net.backbone).mode
    bound_region(net.backbone).mode = Integer(mode.plan)
    assert same(net(x), expected) and len(running.programs) == 1


@torch.no_grad()
def test_copies_and_pickles_have_sessions_of_their_own():
    net = copy.deepcopy(quantized_vit())
    x = images(2, 3, 32, 32)
    running = with_session(net)
    expected = net(x)
    other = copy.deepcopy(net)
    theirs = bound_region(other.backbone).session
    assert theirs is not running and theirs.name == 'reference'
    assert same(other(x), expected)
    assert pickle.loads(pickle.dumps(running)).name == 'reference'


class Tupled(nn.Module):
    """The nesting of its arguments decides what it does."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(8, 4), nn.Linear(8, 4), nn.LayerNorm(8)

    def forward(self, x, y=None):
        if isinstance(x, tuple):
            return self.a(self.norm(x[0])), [self.b(z) for z in x]
        return self.b(x) if y is None else [self.a(x), self.b(y)]


@torch.no_grad()
def test_the_last_call_again_and_others_between():
    x, y = torch.randn(2, 3, 8)
    calls = [(x,), ((x,),), (x, y), ((x, y),), (x[:2],)]
    net = quantized(Tupled().eval(), calls)
    expected = [net(*call) for call in calls]
    use_backend(net, 'reference')
    for call, made in zip(calls, expected, strict=True):
        assert all(same(net(*call), made) for _ in range(3))
    for call, made in zip(calls, expected, strict=True):
        assert same(net(*call), made)
    assert type(net((x,))) is tuple and type(net(x, y)) is list


@torch.no_grad()
def test_changes_between_equal_calls_are_seen():
    """Whatever is kept of the last call: in place, by `data`, and other parameters."""
    net, x = fresh(), rows()
    running, last = with_session(net), net.backbone.last
    made = [net(x), net(x)]
    last.weight.neg_()
    made.append(net(x))
    last.weight.data = last.weight.data.clone() * 0
    made.append(net(x))
    last.weight = nn.Parameter(torch.ones_like(last.weight), requires_grad=False)
    made.append(net(x))
    use_backend(net, None)
    eager = net(x)
    assert same(made[0], made[1]) and len(running.programs) == 1
    assert not any(same(a, b) for a, b in zip(made[1:], made[2:], strict=False))
    assert same(made[-1], eager)


@torch.no_grad()
def test_half_precision_and_outputs_are_handed_on():
    net, seen = fresh(), []
    bound_region(net.backbone).on_output = lambda name, out: seen.append((name, out))
    x = rows().half()
    expected = net(x)
    with_session(net)
    with torch.autocast('cpu', torch.bfloat16):
        assert same(net(x), expected)
    assert [name for name, _ in seen] == ['backbone', 'backbone']
    assert same(*[out for _, out in seen])


@torch.no_grad()
def test_a_mode_that_counts_what_it_clips_runs_itself():
    net = fresh()
    running = with_session(net)
    mode = bound_region(net.backbone).mode
    mode.log = OutOfRangeLog()
    net(10 * rows())
    assert mode.log.sites and not running.programs
    mode.log = None
    net(rows())
    assert running.programs


class Choosing(nn.Module):
    """Arguments other than tensors decide what it does."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(8, 4), nn.Linear(8, 4), nn.LayerNorm(8)

    def forward(self, x, order=None, which='a', extra=None):
        x = self.norm(x if order is None else x[order])
        return self.a(x) if which == 'a' else self.b(x)


@torch.no_grad()
def test_other_arguments_choose_the_program():
    module, x = Choosing().eval(), torch.randn(3, 8)
    order = torch.tensor([2, 0, 1])
    calls = [(x,), (x, None, 'b'), (x, order), (x, order.flip(0))]
    net = quantized(module, calls)
    expected = [net(*call) for call in calls]
    running = with_session(net)
    for _ in range(2):
        actual = [net(*call) for call in calls]
        assert all(map(same, actual, expected))
    assert len(running.programs) == 4
    with pytest.raises(UnsupportedOperationError, match='argument of type object'):
        net(x, extra=object())


def test_mistakes_are_named():
    with pytest.raises(KeyError, match=r"no back end 'fast'.*reference"):
        use_backend(fresh(), 'fast')
    with pytest.raises(ValueError, match='no quantized region'):
        use_backend(nn.Linear(2, 2), 'reference')
