"""The audit of programs: sound ones hold, and what was planted is named."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from program_cases import (
    LONE,
    function_program,
    functions,
    lone,
    swin_program,
    vit_program,
)
from region_models import FAMILIES, config, images, quantized, vit

from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams
from iptq_mm.program import trace
from iptq_mm.program.audit import audit_program
from iptq_mm.registry import FUNCTIONS

CONFIGS = Path(__file__).parents[3] / 'configs/_base_'
FORMS = {f'{n} {o or ""}'.strip(): (n, o) for n, o in functions()}


@pytest.mark.parametrize('name', FORMS)
def test_every_function_holds(name):
    audit = audit_program(function_program(*FORMS[name]))
    assert audit.holds, audit.findings
    (site,) = audit.sites
    assert site.site == 'alone' and site.function.startswith(FORMS[name][0])


@pytest.mark.parametrize('scale', [1e-14, 1e-4, 0.3, 1e8])
@pytest.mark.parametrize('name', FORMS)
def test_every_function_holds_at_any_scale(name, scale):
    function = FUNCTIONS.build(dict(type=FORMS[name][0], **FORMS[name][1]))
    size = 12
    for x in (
        QParams(scale, -7, 7),
        QParams(scale, -3, 252),
        QParams(scale, -32767, 32767),
    ):
        if x.bits > function.max_input_bits:
            continue
        affine = {}
        if function.kind == 'layer_norm':
            gamma = torch.linspace(-0.5, 1.5, size, dtype=torch.float64)
            affine = dict(gamma=gamma, beta=gamma.flip(0))
        reals = torch.linspace(x.qmin, x.qmax, size, dtype=torch.float64) * scale
        seen = function.reference(reals[None], **affine)
        out = QParams.asymmetric(float(seen.min()), float(seen.max()), 16)
        program = lone(
            function.kind,
            [((2, size), x.qmin, x.qmax)],
            (out.qmin, out.qmax),
            function.prepare(FunctionSite(x, out, **affine)),
            function=dict(type=FORMS[name][0], **FORMS[name][1]),
            site='alone',
        )
        audit = audit_program(program)
        assert audit.holds, audit.findings


@pytest.mark.parametrize('name', LONE)
def test_every_kind_holds(name):
    audit = audit_program(LONE[name]())
    assert audit.holds, audit.findings


@pytest.mark.parametrize('make', [vit_program, swin_program])
def test_models_hold(make):
    program = make()
    audit = audit_program(program)
    assert audit.holds, audit.findings
    computing = [node for node in program.nodes if not node.moves]
    assert len(audit.sites) == len(computing)
    assert {s.site for s in audit.sites} >= {n.site for n in program.nodes if n.site}
    assert audit.nodes == dict(program.count())
    assert audit.inputs == [program.values[p.value].shape for p in program.inputs]


@pytest.mark.slow
@pytest.mark.parametrize('candidates', ['tables', 'iptq'])
@pytest.mark.parametrize('name', FAMILIES)
def test_models_hold_with_the_candidates_of_the_configs(name, candidates):
    shape = (1, 3, 32, 32)
    chosen = Config.fromfile(CONFIGS / f'candidates/{candidates}.py').candidates
    batches = [images(*shape, seed=s) for s in range(2)]
    net = quantized(FAMILIES[name](), batches, config(chosen.to_dict()))
    audit = audit_program(trace(net.backbone, (batches[0],)).program)
    assert audit.holds, audit.findings
    names = {f['type'] for kind in chosen.values() for f in kind}
    assert {s.function for s in audit.sites} - {''} <= names


LITERAL = [
    dict(
        gelu=[dict(type='i_gelu', literal=True)],
        softmax=[dict(type='i_softmax', literal=True)],
        layer_norm=[dict(type='ibert_layernorm', literal=True)],
    ),
    dict(
        gelu=[dict(type='shift_gelu', literal=True)],
        softmax=[dict(type='shiftmax', literal=True)],
        layer_norm=[dict(type='ivit_layernorm', literal=True)],
    ),
    dict(
        gelu=[dict(type='poly_gelu')],
        softmax=[dict(type='log_int_softmax', literal=True)],
        layer_norm=[dict(type='fqvit_layernorm', literal=True)],
    ),
]


@pytest.mark.parametrize('candidates', LITERAL)
@pytest.mark.parametrize('bits', [4, 6, 8])
def test_models_of_literal_forms_hold_with_any_bits(bits, candidates):
    options = dict(weight=dict(bits=bits), activation=dict(bits=bits))
    batch = images(1, 3, 32, 32)
    net = quantized(vit(), [batch], config(candidates, **options))
    audit = audit_program(trace(net.backbone, (batch,)).program)
    assert audit.holds, audit.findings
    used = {s.kind: s.function for s in audit.sites if s.function}
    assert {k: v.partition('(')[0] for k, v in used.items()} == {
        kind: functions[0]['type'] for kind, functions in candidates.items()
    }
