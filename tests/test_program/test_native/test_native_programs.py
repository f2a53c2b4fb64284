"""Whole programs, threads, and the library itself."""

import pytest
import torch
from program_cases import equal, integers, quantized_vit, swin_program, vit_program
from region_models import images, same

from iptq_mm.program import run, use_backend
from iptq_mm.program.native import build as native_build
from iptq_mm.program.native import library
from iptq_mm.program.native.backend import NativeProgram


@pytest.mark.parametrize('make', [vit_program, swin_program])
def test_models(level, make):
    made = make()
    native = NativeProgram(made)
    # The tiny models have ibert_layernorm.
    assert all(reason.startswith('layer_norm') for reason in native.fallbacks)
    for seed in range(2):
        inputs = integers(made, seed)
        assert equal(run(made, inputs), native(inputs))


def test_any_number_of_threads(level, three_threads):
    made = swin_program()
    native, inputs = NativeProgram(made), integers(made)
    expected = run(made, inputs)
    for _ in range(20):
        assert equal(expected, native(inputs))


def test_outputs_belong_to_the_caller():
    made = vit_program()
    native = NativeProgram(made)
    first = native(integers(made, 0))
    kept = [x.clone() for x in first]
    native(integers(made, 1))
    assert equal(first, kept)


def test_as_a_back_end():
    net, x = quantized_vit(), images(2, 3, 32, 32, seed=5)
    with torch.no_grad():
        expected = net(x)
        try:
            use_backend(net, 'native')
            assert same(expected, net(x))
        finally:
            use_backend(net, None)


def test_the_environment_chooses_the_instruction_set(monkeypatch):
    previous = library.level()
    for name in library.levels():
        monkeypatch.setenv(library.ISA_VARIABLE, name)
        library.library.__wrapped__()  # as if it were loaded now
        assert library.level() == name
    library.use_level(previous)


def test_unknown_instruction_sets_are_named():
    with pytest.raises(library.NativeError, match="'sse9': one of portable"):
        library.use_level('sse9')


def test_no_compiler_is_no_library(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    with pytest.raises(native_build.BuildError, match=r'no C\+\+ compiler'):
        native_build.build(tmp_path / 'library.so')


def test_messages_of_the_compiler_are_shown(monkeypatch, tmp_path):
    monkeypatch.setattr(native_build, '_FLAGS', ['-no-such-flag'])
    with pytest.raises(native_build.BuildError, match='no-such-flag'):
        native_build.build(tmp_path / 'library.so')
    assert not list(tmp_path.glob('*.so'))
