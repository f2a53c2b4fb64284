"""A walk over the registry: what every function has to do, new ones included."""

import json

import pytest
import torch
from function_cases import (
    LITERAL_NAMES,
    NAMES,
    Case,
    IntegersOnly,
    NoOverflow,
    adversarial,
    build,
    sqnr,
    typical,
)

from iptq_mm.functions import FunctionSite, OperationCount
from iptq_mm.intmath import QParams
from iptq_mm.operations import OPERATIONS, NonLinear

# Sound forms, dB. Below what each measures at the worst of the sites of this
# file; powers of two (log_int_softmax) cannot do better than about 13.
FLOORS = {'log_int_softmax': 9.0}
FLOOR = 24.0

FORMS = [(name, {}) for name in NAMES] + [
    (name, {'literal': True}) for name in LITERAL_NAMES
]
IDS = [name + ('-literal' if options else '') for name, options in FORMS]
# Largest magnitudes of the inputs of a kind.
AMAX = {'softmax': (4, 12, 40), 'layer_norm': (1, 20, 400)}
AMAX_OF_OTHERS = (3, 8, 30)


def _affine(function, size):
    if function.kind != 'layer_norm':
        return {}
    gamma = torch.linspace(-0.5, 1.5, size, dtype=torch.float64)
    gamma[4] = 0
    return dict(gamma=gamma, beta=torch.linspace(-1, 1, size, dtype=torch.float64))


def _case(name, bits, amax, options=None, out_bits=16):
    function = build(name, **(options or {}))
    real = typical(function.kind, bits, amax)
    x = QParams.symmetric(amax, bits)
    affine = _affine(function, real.shape[-1])
    return Case(function, x, real, out_bits, affine=True, **affine)


def _supports(name, bits):
    return bits <= build(name).max_input_bits


def test_every_kind_has_functions():
    kinds = {k for k, x in OPERATIONS.items() if isinstance(x, NonLinear)}
    assert kinds >= {'gelu', 'softmax', 'layer_norm'}
    assert {build(name).kind for name in NAMES} == kinds
    assert len(NAMES) >= 12


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize(('name', 'options'), FORMS, ids=IDS)
def test_integers_only(name, options, bits):
    if not _supports(name, bits):
        pytest.skip('fewer bits')
    case = _case(name, bits, 8.0, options)
    before = case.q.clone()
    with IntegersOnly():
        raw = case.function.integer(case.q, case.constants)
    assert raw.dtype in (torch.int32, torch.int64)
    assert raw.shape == case.q.shape
    assert torch.equal(before, case.q), 'the input was overwritten'
    assert torch.equal(raw, case.function.integer(case.q, case.constants))


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('name', NAMES)
def test_sound_form_beats_its_floor(name, bits):
    if not _supports(name, bits):
        pytest.skip('fewer bits')
    for amax in AMAX.get(build(name).kind, AMAX_OF_OTHERS):
        for out_bits in (8, 16):
            case = _case(name, bits, amax, out_bits=out_bits)
            measured = sqnr(case.reference, case.actual)
            assert measured > FLOORS.get(name, FLOOR), (amax, out_bits)


@pytest.mark.parametrize(('name', 'options'), FORMS, ids=IDS)
def test_constants_are_plain_integers(name, options):
    case = _case(name, 8, 8.0, options)
    for key, value in case.constants.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == torch.int64, key
            value = value.tolist()
        assert json.loads(json.dumps(value)) == value
        if isinstance(value, int):
            assert not isinstance(value, bool) and abs(value) < 2**63, key


@pytest.mark.parametrize('scale', [1e-14, 1e-7, 1e-4, 0.01, 0.3, 7.0, 1e8])
@pytest.mark.parametrize(('name', 'options'), FORMS, ids=IDS)
def test_nothing_overflows_at_any_scale(name, options, scale):
    function = build(name, **options)
    for x in (
        QParams(scale, -127, 127),
        QParams(scale, -3, 252),
        QParams(scale, -32767, 32767),
        QParams(scale, 0, 65535),
    ):
        if x.bits > function.max_input_bits:
            continue
        q = adversarial(x)
        affine = _affine(function, q.shape[-1])
        reference = function.reference(q.double() * x.scale, **affine)
        low, high = float(reference.min()), float(reference.max())
        for bits in (8, 16):
            out = QParams.asymmetric(low, high, bits)
            constants = function.prepare(FunctionSite(x, out, **affine))
            with NoOverflow():
                function.integer(q, constants)


@pytest.mark.parametrize('name', NAMES)
def test_shape_and_storage_do_not_matter(name):
    case = _case(name, 8, 8.0)
    flat = case.function.integer(case.q, case.constants)
    for dtype in (torch.int16, torch.int32, torch.int64):
        q = case.q.to(dtype).view(2, 2, 2, -1)
        out = case.function.integer(q, case.constants)
        assert torch.equal(out.view(flat.shape).long(), flat.long())
    strided = case.q.repeat(1, 1, 2)[..., : case.q.shape[-1]].transpose(0, 1)
    out = case.function.integer(strided, case.constants)
    assert torch.equal(out.transpose(0, 1).reshape(flat.shape).long(), flat.long())


@pytest.mark.parametrize('name', NAMES)
def test_too_wide_an_input_is_refused(name):
    function = build(name)
    if function.kind in ('softmax', 'unary'):
        x = QParams(1e-3, -(2**31), 2**31)
    else:
        x = QParams(1e-3, -(2**16), 2**16)
    site = FunctionSite(x, QParams(1e-3, 0, 255), gamma=torch.ones(8).double())
    with pytest.raises(ValueError, match='bits|integers'):
        function.prepare(site)


@pytest.mark.parametrize(('name', 'options'), FORMS, ids=IDS)
def test_operation_counts(name, options):
    counts = build(name, **options).operations(197)
    assert isinstance(counts, OperationCount)
    assert 1 <= counts.weighted() < 40
    assert counts.weighted() >= build(name).operations(10**9).weighted()


def test_operation_totals():
    """Totals of the published functions as counted in the literature notes."""
    totals = {
        'i_gelu': 9,
        'poly_gelu': 11,
        'shift_gelu': 21,
        'i_softmax': 20,
        'log_int_softmax': 20,
        'shiftmax': 18,
        'bit_softmax': 21,
        'ibert_layernorm': 8,
        'ivit_layernorm': 7,
        'fqvit_layernorm': 15,
    }
    for name, total in totals.items():
        assert build(name).operations(10**9).weighted() == pytest.approx(total)
