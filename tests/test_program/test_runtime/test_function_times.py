"""Times of lone functions: programs that are right, and kernels that are the same."""

import pytest
import torch
from program_cases import functions

from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams
from iptq_mm.native.library import available
from iptq_mm.program import run
from iptq_mm.program.backends.native.program import NativeProgram
from iptq_mm.program.runtime import function_times as module
from iptq_mm.program.runtime.function_times import LoneFunction, function_times
from iptq_mm.registry import FUNCTIONS

ROWS, LENGTH = 9, 12


def lone(name, bits=16, rows=ROWS, **options):
    cfg = dict(type=name, **options)
    function = FUNCTIONS.build(dict(cfg))
    x = QParams.symmetric(6.0, min(function.max_input_bits, bits))
    out = QParams.asymmetric(-0.2, 6.0, 8)
    affine = {}
    if function.kind == 'softmax':
        out = QParams.asymmetric(0.0, 1.0, 16)
    if function.kind == 'layer_norm':
        affine = dict(
            gamma=torch.linspace(-1, 2, LENGTH, dtype=torch.float64),
            beta=torch.linspace(-1, 1, LENGTH, dtype=torch.float64),
        )
    constants = function.prepare(FunctionSite(x, out, **affine))
    return LoneFunction(function.kind, cfg, x, out, constants, rows, LENGTH)


pytestmark = pytest.mark.skipif(not available(), reason='no native library')


@pytest.fixture(autouse=True)
def few_runs(monkeypatch):
    monkeypatch.setattr(module, 'RUNS', 3)


@pytest.mark.parametrize(('name', 'options'), functions())
def test_every_function_has_a_time(name, options):
    if options and name in ('i_gelu', 'i_softmax'):
        made = lone(name, bits=8, **options)
    else:
        made = lone(name, **options)
    (nanoseconds,) = function_times([made])
    assert 0 < nanoseconds < 1e9
    assert nanoseconds == float(f'{nanoseconds:.3g}')


def test_the_program_computes_the_function():
    made = lone('shiftmax')
    program = made.program()
    generator = torch.Generator().manual_seed(0)
    q = torch.randint(made.x.qmin, made.x.qmax + 1, (ROWS, LENGTH), generator=generator)
    q = q.to(torch.int16)
    function = FUNCTIONS.build(dict(type='shiftmax'))
    expected = function.integer(q, made.constants).clamp(made.out.qmin, made.out.qmax)
    assert torch.equal(run(program, [q])[0].long(), expected.long())


def test_large_inputs_are_cut():
    made = lone('table_gelu', rows=10**9)
    shape = made.program().values[0].shape
    assert shape[0] * shape[1] <= module.MAX_ELEMENTS and shape[1] == LENGTH


def test_the_same_kernel_has_the_same_time():
    """Functions of single values are tables, whatever is in them."""
    times = function_times([lone(n) for n in ('i_gelu', 'poly_gelu', 'shift_gelu')])
    assert len(set(times)) == 1
    kernels = [
        module._kernel(NativeProgram(f.program()), f)
        for f in (
            lone('i_softmax'),
            lone('shiftmax'),
            lone('table_softmax'),
            lone('ibert_layernorm'),
            lone('ivit_layernorm'),
            lone('table_gelu'),
            lone('i_gelu'),
            lone('ivit_layernorm', literal=True),
            lone('ibert_layernorm', literal=True),
        )
    ]
    assert len(set(kernels)) == len(kernels)


def test_the_number_of_threads_stays():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        function_times([lone('table_gelu')])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_without_a_library(monkeypatch):
    def missing():
        raise RuntimeError('there is no C++ compiler')

    monkeypatch.setattr(module, 'library', missing)
    with pytest.raises(RuntimeError, match='no C'):
        function_times([lone('table_gelu')])
