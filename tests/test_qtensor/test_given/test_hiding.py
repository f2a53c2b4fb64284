"""A hidden score has no influence, in every integer Softmax."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams
from iptq_mm.operations import OPERATIONS
from iptq_mm.qtensor import QTensor, UnsupportedOperationError
from iptq_mm.qtensor.hiding import ADDITIVE, hide, hide_by, hides, is_additive_mask
from iptq_mm.registry import FUNCTIONS

SOFTMAXES = sorted(
    name for name, made in FUNCTIONS.module_dict.items() if made.kind == 'softmax'
)


def scores_of(seed, scale, bits, rows=6, keys=9):
    """Scores that reach both ends of their quantizer, and a mask (1: hidden)."""
    generator = torch.Generator().manual_seed(seed)
    most = 2 ** (bits - 1) - 1
    q = torch.randint(-most, most + 1, (rows, keys), generator=generator)
    q[0, 0], q[0, 1] = most, -most
    mask = torch.randint(0, 2, (rows, keys), generator=generator)
    mask[torch.arange(rows), torch.randint(0, keys, (rows,), generator=generator)] = 0
    mask[0, 0], mask[0, 1] = 1, 0  # the largest hidden, the least seen
    payload = q.to(torch.int16 if bits > 8 else torch.int8)
    return QTensor(payload, QParams(scale, -most, most), 'x'), mask


@pytest.mark.parametrize('name', SOFTMAXES)
@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 99),
    st.sampled_from([1e-5, 2e-4, 1e-3, 0.01, 0.1, 1.0]),
    st.sampled_from([8, 16]),
)
def test_hidden_scores_have_no_influence(name, seed, scale, bits):
    function = FUNCTIONS.build(dict(type=name))
    if bits > function.max_input_bits:
        bits = 8
    x, mask = scores_of(seed, scale, bits)
    masked = hide(x, mask)
    assert masked.qparams.scale == scale
    out = QParams(1 / 65535, 0, 65535)
    try:
        constants = function.prepare(FunctionSite(masked.qparams, out))
    except (ValueError, OverflowError):
        return  # this scale is none of its own
    found = out.saturate(function.integer(masked.payload, constants))
    for row, hidden in enumerate(mask.bool()):
        assert not found[row, hidden].any()
        # The row without the hidden scores, as if they were not there.
        alone = function.integer(masked.payload[row : row + 1, ~hidden], constants)
        assert torch.equal(found[row, ~hidden], out.saturate(alone)[0])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.sampled_from([1e-4, 0.01, 1.0]), st.booleans())
def test_seen_scores_keep_their_integers(seed, scale, additive):
    x, mask = scores_of(seed, scale, 16)
    if additive:
        given_mask = QTensor((-mask).to(torch.int8), ADDITIVE, 'input:1')
        given_mask.exact = True
        assert hides(given_mask)
        masked = hide_by(x, given_mask)
    else:
        masked = hide(x, mask.bool())
    seen = mask == 0
    assert torch.equal(masked.payload[seen].long(), x.payload[seen].long())
    real = masked.payload.double() * scale
    gap = real[seen].min() - real[~seen].max()
    assert gap >= 32
    assert masked.payload.min() >= masked.qparams.qmin
    assert masked.source == 'x'


def test_floats_are_hidden_alike():
    x, mask = scores_of(1, 0.01, 16)
    floats = QTensor(x.real_values(), x.qparams, 'x')
    exact, made = hide(x, mask), hide(floats, mask)
    assert made.qparams == exact.qparams
    assert torch.allclose(made.payload, exact.real_values(), rtol=1e-6)
    floats.qparams = None  # before calibration
    hidden = hide(floats, mask).payload
    assert (hidden.softmax(-1)[mask == 1] == 0).all()
    assert torch.equal(hidden[mask == 0], floats.payload[mask == 0])


def test_too_small_a_scale_is_an_error():
    x = QTensor(torch.zeros(2, 2, dtype=torch.int16), QParams(1e-9, -9, 9), 'x')
    with pytest.raises(UnsupportedOperationError, match='not all 0'):
        hide(x, torch.ones(2, 2))


def test_what_an_additive_mask_is():
    low = torch.finfo(torch.float32).min
    for numbers in ([0.0, low], [0.0, float('-inf')], [0.0, -1e4], [low, low]):
        assert is_additive_mask('input:1', torch.tensor([numbers]))
        assert not is_additive_mask('input:0', torch.tensor([numbers]))
    for numbers in ([0.0, -100.0], [0.0, 1.0], [low, 1e-9], [0.0, 0.0]):
        assert not is_additive_mask('input:1', torch.tensor([numbers]))
    # One that hides nothing is known by its shape.
    assert is_additive_mask('input:1', torch.zeros(2, 1, 1, 5))
    assert not is_additive_mask('input:1', torch.zeros(2, 3, 1, 5))
    # Its quantizer has -1 for what hides, whatever the number.
    x = torch.tensor([0.0, -0.0, -1e4, low, float('-inf')])
    assert ADDITIVE.quantize(x).tolist() == [0, 0, -1, -1, -1]


def test_softmax_is_the_operation():
    assert OPERATIONS['softmax'].kind == 'softmax' and len(SOFTMAXES) > 3
