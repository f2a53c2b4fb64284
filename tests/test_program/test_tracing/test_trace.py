"""Tracing: the program computes what the module computes."""

import pytest
import torch
from program_cases import equal
from region_models import (
    FAMILIES,
    Custom,
    Net,
    images,
    integer_mode,
    mmdet_swin,
    mmpretrain_swin,
    quantized,
    rows,
    same,
    vit,
)
from torch import nn

from iptq_mm.modes import Integer, bound_region
from iptq_mm.program import Program, run, trace
from iptq_mm.qtensor import RULES, QTensor, UnsupportedOperationError, rule


def outputs(net: nn.Module, traced, x) -> list:
    """Real outputs of the program for one input."""
    program: Program = traced.program
    (port,) = program.inputs
    q = integer_mode(net).plan.inputs['input:0'].quantize(x)
    results = run(program, [q])
    for value, q in zip(program.outputs, results, strict=True):
        assert q.dtype == program.values[value.value].dtype
    pairs = zip(program.outputs, results, strict=True)
    return traced.rebuild([q.float() * port.scale for port, q in pairs])


MODELS = {
    **{name: (build, (2, 3, 32, 32)) for name, build in FAMILIES.items()},
    'swin padded': (lambda: mmpretrain_swin(pad_small_map=True), (1, 3, 44, 52)),
    'mmdet swin padded': (mmdet_swin, (1, 3, 50, 70)),
    'vit with a map': (lambda: vit(out_type='featmap'), (1, 3, 32, 32)),
}


@pytest.mark.parametrize('name', MODELS)
def test_programs_equal_integer_mode(name):
    build, shape = MODELS[name]
    batches = [images(*shape, seed=s) for s in range(2)]
    with torch.no_grad():
        net = quantized(build(), batches)
        traced = trace(net.backbone, (batches[0],))
        for x in (batches[1], 3 * images(*shape, seed=2)):
            assert same(net(x), outputs(net, traced, x))
    program = traced.program
    sites = {node.site for node in program.nodes if node.site}
    assert sites <= set(integer_mode(net).plan.sites)
    program.check()


def traced(body, *shape: int, **parts):
    """A :class:`Custom`, quantized, and its program, after comparing them."""
    batches = [rows(*shape, seed=s) for s in range(2)]
    with torch.no_grad():
        net = quantized(Custom(body, **parts), batches)
        made = trace(net.backbone, (batches[0],))
        for x in batches:
            assert same(net(x), outputs(net, made, x))
    return net, made.program


BODIES = {
    'in place': lambda m, x: m.last(x.add_(1).mul_(2)),
    'negated': lambda m, x: m.last(-x.roll(2, 1)[:, ::2]),
    'times nothing': lambda m, x: (x * 0 + x, m.last(x)),
    'parameter': lambda m, x: m.last(torch.cat([m.p.expand(4, 1, -1), x], 1)),
    'gate and mean': lambda m, x: (x * m.last(x)).mean(1),
    'views': lambda m, x: [t.flip(1) for t in m.last(x).chunk(2, -1)],
    'mask': lambda m, x: (x @ x.mT + torch.tensor([0.0, -100, 0, -1e9, 0])).softmax(-1),
    'gather': lambda m, x: m.last(x)[:, torch.tensor([[4, 0], [1, 1]])],
    'same tensor twice': lambda m, x: dict(a=(y := m.last(x)), b=y * 0.5),
    'untouched': lambda m, x: (x, None, 3, torch.ones(2)),
}


@pytest.mark.parametrize('name', BODIES)
def test_whatever_a_forward_does(name):
    _, program = traced(BODIES[name])
    program.check()


def test_dead_code_is_dropped():
    def body(m, x):
        m.last(x).softmax(-1)
        return x + 1

    _, program = traced(body)
    assert not program.count()['softmax']
    assert not any('last' in name for name in program.tensors)


def test_what_was_made_is_not_made_again():
    _, program = traced(lambda m, x: (x.mT.clone() @ x, x.mT @ m.last(x)))
    assert program.count()['permute'] == 1


def test_tensors_are_kept_once():
    _, program = traced(lambda m, x: m.last(x) + m.last(x.roll(1, 1)))
    assert program.count()['linear'] == 3
    assert len([n for n in program.tensors if n.startswith('last.weight')]) == 1


def test_shifted_channels():
    net = quantized(Custom(lambda m, x: m.last(x)), [rows()])
    plan = integer_mode(net).plan
    plan.sites['last/linear:0'].input_shifts = [i % 3 for i in range(16)]
    bound_region(net.backbone).mode = Integer(plan)
    with torch.no_grad():
        made = trace(net.backbone, (rows(),))
        assert same(net(rows(seed=1)), outputs(net, made, rows(seed=1)))
    assert made.program.count()['shift_channels'] == 1


@pytest.fixture
def odd_rule():
    @rule(torch.cumsum)
    def _cumsum(mode, x: QTensor, dim: int) -> QTensor:
        return x.like(x.payload.cumsum(dim).clamp(-5, 5).to(x.payload.dtype))

    yield
    del RULES[torch.cumsum]


def test_rules_without_a_node_are_named(odd_rule):
    net = quantized(Custom(lambda m, x: torch.cumsum(m.last(x), 1)), [rows()])
    with pytest.raises(UnsupportedOperationError, match=r'cumsum.*no kind of node'):
        trace(net.backbone, (rows(),))


def test_only_regions_are_traced():
    with pytest.raises(TypeError, match='no region in integer mode'):
        trace(Net(nn.Linear(2, 2)), (torch.zeros(1, 2),))


def test_weights_that_change_leave_the_program_alone():
    net = quantized(Custom(lambda m, x: m.last(x)), [rows()])
    made = trace(net.backbone, (rows(),)).program
    q = [integer_mode(net).plan.inputs['input:0'].quantize(rows())]
    before = run(made, q)
    with torch.no_grad():
        net.backbone.last.weight.zero_()
    assert equal(before, run(made, q))
