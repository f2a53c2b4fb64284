"""Conversions at the boundary: which ones a back end uses, and that bits are equal."""

import pytest
import torch
from program_cases import equal, integers, quantized_vit, vit_program
from region_models import images

from iptq_mm.modes.shared_integers import share_integers, shared_integers_of
from iptq_mm.native import conversions as native_conversions
from iptq_mm.native import library
from iptq_mm.program import Deployed, run, use_backend
from iptq_mm.program.backends import boundary
from iptq_mm.program.backends.base import backend_named
from iptq_mm.program.backends.boundary import TORCH, quantized_inputs
from iptq_mm.program.backends.reference import NodeByNode

needs_library = pytest.mark.skipif(not library.available(), reason='needs the library')
CPU = torch.device('cpu')


@pytest.mark.parametrize('name', ['compiled', 'onnx', 'native'])
def test_the_library_where_it_is_available(name, monkeypatch):
    backend = backend_named(name)
    monkeypatch.setattr(boundary, 'available', lambda: True)
    assert backend.conversions() is native_conversions
    monkeypatch.setattr(boundary, 'available', lambda: False)
    assert backend.conversions() is TORCH


@needs_library
def test_the_reference_takes_those_of_torch():
    """Whatever else this process has loaded."""
    library.library()
    assert backend_named('reference').prepare(vit_program(), CPU).conversions is TORCH


@needs_library
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
def test_equal_bits(dtype):
    program = vit_program()
    x = torch.randn(program.input_shapes[0]).to(dtype) * 3
    made = [quantized_inputs(program, [x], c) for c in (TORCH, native_conversions)]
    assert equal(*made)
    for q in made[0]:
        a, b = (c.dequantize(q, 0.3) for c in (TORCH, native_conversions))
        assert torch.equal(a, b) and a.dtype == b.dtype == torch.float32


@needs_library
def test_real_outputs_of_the_reference_are_those_of_native():
    program, x = vit_program(), images(2, 3, 32, 32, seed=8)
    with torch.autocast('cpu', torch.bfloat16):
        outputs = [Deployed(program, name)(x) for name in ('reference', 'native')]
    assert equal(*outputs)
    some, others = ([shared_integers_of(y).integers for y in ys] for ys in outputs)
    assert equal(some, others)


def test_real_outputs_are_the_integers_times_the_scale():
    program = vit_program()
    q = integers(program)
    x = [v.float() * p.scale for p, v in zip(program.inputs, q, strict=True)]
    real = NodeByNode(program, CPU).run_real(x)
    for port, y, integer in zip(program.outputs, real, run(program, q), strict=True):
        assert torch.equal(y, integer.float() * port.scale) and y.is_contiguous()
        assert torch.equal(shared_integers_of(y).integers, integer)


def test_shared_integers_are_not_quantized_again():
    program, (q,) = vit_program(), integers(vit_program())
    port = program.inputs[0]
    value = program.values[port.value]
    qparams = boundary._qparams(port.scale, value.low, value.high)
    real = share_integers(torch.zeros(value.shape), q, qparams)
    assert equal(quantized_inputs(program, [real], TORCH), [q])


@needs_library
def test_a_session_says_which_programs_it_runs():
    net, x = quantized_vit(), images(2, 3, 32, 32, seed=5)
    try:
        use_backend(net, 'native')
        with torch.no_grad():
            net(x)
        (made,) = net.backbone.iptq_region.session.programs
        assert made.executable.program is made.program
        assert str(made.program).startswith('program of backbone')
    finally:
        use_backend(net, None)
