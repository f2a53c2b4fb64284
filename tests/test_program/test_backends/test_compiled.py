"""torch.compile over a whole program gives the same integers."""

import pytest
import torch
from program_cases import LONE, block_program, equal, integers
from region_models import Custom, quantized, rows, same
from torch import Tensor, nn

from iptq_mm.intmath import product
from iptq_mm.program import Port, Program, Reference, run, use_backend
from iptq_mm.program.backends.compiled import backend as compiled
from iptq_mm.program.backends.compiled.graph import whole_graph
from iptq_mm.program.lowering import byte_products, lower
from iptq_mm.program.tracing.canonical import canonical_moves
from iptq_mm.program.tracing.recorder import Recorder

CPU = torch.device('cpu')


def windows_of_a_part() -> Program:
    """A view with strides of a view that does not begin where its memory does."""
    recorder = Recorder()
    number, shape = recorder.input((4, 6), -9, 9, 1.0), (4, 6)
    for function, args in [
        (Tensor.narrow, (0, 1, 3)),
        (Tensor.unfold, (1, 3, 1)),
        (Tensor.permute, (2, 0, 1)),
        (Tensor.unfold, (0, 2, 1)),
    ]:
        (moves,) = canonical_moves(function, shape, args, {})
        number, shape = recorder.moved(number, moves), moves[-1].shape
    return recorder.finish('windows', [Port(number, 1.0)])


GRAPHS = {'block': block_program, 'windows': windows_of_a_part, **LONE}


@pytest.mark.parametrize('name', GRAPHS)
def test_the_whole_graph_is_the_program(name):
    program = GRAPHS[name]()
    graph = whole_graph(program, CPU)
    for seed in range(2):
        x = integers(program, seed)
        assert equal(graph(*x), run(program, x))


@pytest.fixture(params=[False, True], ids=['floats', 'bytes'])
def products(request, monkeypatch):
    """Graphs as they are made on a CPU with, and without, products of bytes."""
    kernel = torch._C._dispatch_has_kernel_for_dispatch_key('aten::_int_mm', 'CPU')
    if request.param and not kernel:
        pytest.skip('this torch has no product of bytes on a CPU')
    for module in (product, byte_products):
        monkeypatch.setattr(module, 'int8_product_is_exact', lambda: request.param)
    lower._graph.cache_clear()
    yield request.param
    lower._graph.cache_clear()


@pytest.mark.parametrize('name', GRAPHS)
def test_the_whole_graph_for_another_device(name, products):
    """Nothing is left on the CPU, and no kernel is asked for what GPUs do not have."""
    program = GRAPHS[name]()
    graph = whole_graph(program, torch.device('meta'))
    made = graph(*(x.to('meta') for x in integers(program, 0)))
    expected = run(program, integers(program, 0))
    assert [m.shape for m in made] == [e.shape for e in expected]
    assert all(m.device.type == 'meta' for m in made)
    nodes = graph.graph.nodes
    assert torch.ops.aten._int_mm.default not in {node.target for node in nodes}
    if name == 'block' and products:
        assert torch.ops.iptq_mm.int8_mm.default in {node.target for node in nodes}
    for node in nodes:
        assert torch.device('cpu') not in node.kwargs.values()
        if node.target is torch.ops.aten.convolution.default:
            users = {user.target for user in node.users}
            assert users == {torch.ops.aten.round.default}


@pytest.mark.skipif(not torch.cuda.is_available(), reason='NO GPU: this test needs one')
@pytest.mark.parametrize('name', GRAPHS)
def test_the_whole_graph_on_a_gpu(name):
    program = GRAPHS[name]()
    for prepared in (
        compiled.Compiled().prepare(program, torch.device('cuda')),
        Reference().prepare(program, torch.device('cuda')),
    ):
        for seed in range(3):
            x = integers(program, seed)
            found = prepared.run([y.cuda() for y in x])
            assert equal([y.cpu() for y in found], run(program, x))


def test_layers_that_differ_in_numbers_are_the_same_code():
    """No multiplier, shift or bound stands in the code."""
    large = [
        a
        for node in whole_graph(block_program(), CPU).graph.nodes
        if node.op == 'call_function' and 'mul' in str(node.target)
        for a in node.args
        if isinstance(a, int)
    ]
    assert not large


@pytest.mark.slow
@pytest.mark.skipif(compiled._cpp_compiler() is None, reason='needs a C++ compiler')
@torch.no_grad()
def test_compiled_equals_eager(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', str(tmp_path))
    monkeypatch.setenv('TORCHINDUCTOR_FORCE_DISABLE_CACHES', '1')

    def attention(m, x):
        values = nn.functional.gelu(m.last(x.roll(1, 1)))
        return (x @ x.mT / 8).softmax(-1) @ values + x[:, 1:].mean(1, keepdim=True)

    batches = [rows(2, 64, seed=s) for s in range(3)]
    net = quantized(Custom(attention, dims=64), batches[:2])
    inputs = [*batches, 5 * rows(2, 64, seed=3)]
    expected = [net(x) for x in inputs]
    use_backend(net, 'compiled')
    assert all(map(same, map(net, inputs), expected))


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr(compiled, '_cpp_compiler', lambda: None)
    for ask in (
        compiled.Compiled().check,
        lambda: compiled.Compiled().prepare(block_program(), CPU),
    ):
        with pytest.raises(RuntimeError, match='needs a C\\+\\+ compiler'):
            ask()
