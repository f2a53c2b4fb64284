"""Whole programs, threads, and what is said about them."""

from functools import cache, lru_cache

import pytest
import torch
from detector_parts import Beside, bbox_head, boxes, fpn, levels, mask_head
from native_cases import extremes
from program_cases import (
    REFERENCE_ONLY,
    equal,
    function_program,
    functions,
    integers,
    quantized_vit,
    swin_program,
    vit_program,
)
from region_models import images, quantized, same

from iptq_mm.modes import bound_region
from iptq_mm.modes.shared_integers import shared_integers_of
from iptq_mm.native import library
from iptq_mm.program import run, trace, use_backend
from iptq_mm.program.backends.native import backend
from iptq_mm.program.backends.native.program import NativeProgram
from iptq_mm.registry import BACKENDS


@pytest.mark.parametrize('make', [vit_program, swin_program])
def test_models(level, make):
    made = make()
    native = NativeProgram(made)
    assert not native.fallbacks
    for seed in range(2):
        inputs = integers(made, seed)
        assert equal(run(made, inputs), native.run(inputs))


@pytest.mark.parametrize('name, options', functions())
def test_functions(level, name, options):
    """Every function that is registered has a kernel, but published forms."""
    made = function_program(name, options, 21)
    native = NativeProgram(made)
    # The published ShiftGELU looks at whole rows; the other GELUs are tables.
    tabulated = made.nodes[0].kind == 'gelu' and name != 'shift_gelu'
    published = options.get('literal', False) and not tabulated
    assert native.left == int(published or name in REFERENCE_ONLY)
    for inputs in (integers(made), extremes(made, 1)):
        assert equal(run(made, inputs), native.run(inputs))


PARTS = {
    'fpn': (
        lambda: fpn(in_channels=[16, 20, 32], out_channels=24),
        lambda: levels((11, 14), (6, 7), (3, 4), channels=[16, 20, 32]),
    ),
    'boxes': (lambda: bbox_head(in_channels=6), lambda: boxes(6)),
    'masks': (
        lambda: mask_head(conv_out_channels=32, in_channels=6),
        lambda: boxes(4),
    ),
}


@pytest.mark.parametrize('name', PARTS)
def test_detectors(level, name):
    made = detector_program(name)
    native = NativeProgram(made)
    assert not native.fallbacks
    for inputs in (integers(made), extremes(made, 1)):
        assert equal(run(made, inputs), native.run(inputs))


@cache
def detector_program(name):
    make, batch = PARTS[name]
    x = batch()
    with torch.no_grad():
        net = quantized(Beside(make()).eval(), [(x,)])
        return trace(net.backbone, (x,)).program


def test_any_number_of_threads(level, three_threads):
    made = swin_program()
    native, inputs = NativeProgram(made), integers(made)
    expected = run(made, inputs)
    for _ in range(20):
        assert equal(expected, native.run(inputs))


def test_outputs_belong_to_the_caller():
    made = vit_program()
    native = NativeProgram(made)
    first = native.run(integers(made, 0))
    kept = [x.clone() for x in first]
    native.run(integers(made, 1))
    assert equal(first, kept)


def reals(made, seed):
    """Floats that become integers without rounding."""
    ports = zip(made.inputs, integers(made, seed), strict=True)
    return [q.float() * port.scale for port, q in ports]


def test_real_outputs_and_their_codes():
    """To the last bit what comes out of the integers; both belong to the caller."""
    made = vit_program()
    native = NativeProgram(made)
    codes = native.run(integers(made, 0))
    real = native.run_real(reals(made, 0))
    pairs = [(x, shared_integers_of(x).integers) for x in real]
    native.run_real(reals(made, 1))
    for port, q, (x, kept) in zip(made.outputs, codes, pairs, strict=True):
        assert torch.equal(q, kept) and kept.dtype == q.dtype
        assert torch.equal(x, q.float() * port.scale)


def test_as_a_back_end():
    net, x = quantized_vit(), images(2, 3, 32, 32, seed=5)
    with torch.no_grad():
        expected = net(x)
        try:
            use_backend(net, 'native')
            assert same(expected, net(x))
            made = bound_region(net.backbone).session.programs[-1].executable
        finally:
            use_backend(net, None)
    assert str(made).startswith('native program of backbone: 54 nodes, ')


@pytest.fixture
def no_library(monkeypatch, tmp_path):
    """As on a machine without a compiler and without a library."""
    monkeypatch.setenv('CXX', str(tmp_path / 'none'))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(library, 'INSTALLED', tmp_path / 'none.so')
    monkeypatch.setattr(library, '_opened', lru_cache(library._opened.__wrapped__))


def run_and_log(made, monkeypatch):
    """What the back end gives and says."""
    said = []
    monkeypatch.setattr(backend, 'print_log', lambda text, *_: said.append(text))
    backend._say.cache_clear()
    native = BACKENDS.build(dict(type='native'))
    inputs = integers(made)
    for _ in range(2):
        made_now = native.prepare(made, torch.device('cpu'))
    assert equal(run(made, inputs), made_now.run(inputs))
    assert len(said) == 1  # not again
    return said[0]


def test_without_a_compiler_the_reference_runs(no_library, monkeypatch):
    said = run_and_log(vit_program(), monkeypatch)
    assert 'no C++ compiler' in said and 'reference' in said


def test_the_environment_forbids_the_library(no_library, monkeypatch):
    monkeypatch.setenv(library.ISA_VARIABLE, 'none')
    assert f'{library.ISA_VARIABLE} is none' in run_and_log(vit_program(), monkeypatch)


def test_says_what_runs(level, monkeypatch):
    said = run_and_log(vit_program(), monkeypatch)
    assert level in said and 'threads' in said and 'reference' not in said
    literal = function_program('shiftmax', {'literal': True})
    said = run_and_log(literal, monkeypatch)
    assert (
        '1 of 1 nodes (softmax has no kernel for the literal form of shiftmax: ' in said
    )
