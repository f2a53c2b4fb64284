"""Boolean masks that enter regions with ``nn.MultiheadAttention``: True hides."""

import pytest
import torch
from region_models import CANDIDATES
from torch import nn
from torch.nn import functional as F

import iptq_mm
from iptq_mm.calibration import ConfigError
from iptq_mm.modes import regions_in
from iptq_mm.program import use_backend

FEW = dict(candidates=CANDIDATES, weight=dict(rounding=dict(type='nearest')))
HEADS, LENGTH, DIMS = 2, 6, 16


class Attention(nn.Module):
    """The module of torch, with both of its masks."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(DIMS, HEADS, batch_first=True)
        self.out = nn.Linear(DIMS, DIMS)

    def forward(self, x, padding=None, mask=None):
        y, _ = self.attention(
            x, x, x, key_padding_mask=padding, attn_mask=mask, need_weights=False
        )
        return self.out(y)


class Functional(Attention):
    """The function alone, which gets the booleans as they are."""

    def forward(self, x, padding=None, mask=None):
        a, x = self.attention, x.transpose(0, 1)
        y, _ = F.multi_head_attention_forward(
            *(x, x, x, DIMS, HEADS, a.in_proj_weight, a.in_proj_bias),
            *(None, None, False, 0.0, a.out_proj.weight, a.out_proj.bias),
            training=False,
            key_padding_mask=padding,
            attn_mask=mask,
            need_weights=False,
        )
        return self.out(y.transpose(0, 1))


class Layer(nn.Module):
    """A whole encoder layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            DIMS, HEADS, 32, activation='gelu', batch_first=True
        )

    def forward(self, x, padding=None):
        return self.layer(x, src_key_padding_mask=padding)


def padding(seed=0):
    """From some place on hidden, another one in each of four rows."""
    torch.manual_seed(seed)
    lengths = torch.randint(2, LENGTH + 1, (4, 1))
    return torch.arange(LENGTH) >= lengths


def quantized(kind, *masks):
    """A quantized model, its float self, and a batch."""
    torch.manual_seed(0)
    model = kind().eval()
    batches = [(torch.randn(4, LENGTH, DIMS), *masks) for _ in range(3)]
    return iptq_mm.quantize(model, batches, settings=FEW), model, batches[0]


def run_by(found, backend, batch):
    """The output by a back end, which does all of it."""
    use_backend(found._root, backend)
    with torch.no_grad():
        made = found.model(*batch)
    (region,) = regions_in(found._root).values()
    if region.session and backend:
        executable = region.session.programs[-1].executable
        assert not getattr(executable, 'fallbacks', {})
    use_backend(found._root, None)
    return made


MASKS = {
    'padding': (padding(),),
    'scores': (None, torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)),
    'both': (padding(1), torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)),
}


@pytest.mark.parametrize('kind', [Attention, Functional])
@pytest.mark.parametrize('masks', MASKS)
def test_hidden_keys_have_no_influence(kind, masks):
    found, model, batch = quantized(kind, *MASKS[masks])
    assert found.report['audit']['holds']
    integers = run_by(found, None, batch)
    with torch.no_grad():
        exact = model(*batch)
    assert (integers - exact).norm() < 0.05 * exact.norm()
    for backend in ('reference', 'native'):
        assert torch.equal(run_by(found, backend, batch), integers)
    hidden = MASKS[masks][0]
    if hidden is None:
        x = batch[0].clone()
        x[:, -1] = 5.0  # nobody before it sees it
        changed = run_by(found, 'native', (x, *batch[1:]))
        assert torch.equal(changed[:, :-1], integers[:, :-1])
        return
    x = torch.where(hidden[..., None], 5.0, batch[0])
    changed = run_by(found, 'native', (x, *batch[1:]))
    assert torch.equal(changed[~hidden], integers[~hidden])


def test_a_mask_is_no_constant():
    """The same program takes any mask."""
    found, model, (x, _) = quantized(Attention, padding())
    use_backend(found._root, 'native')
    for seed in range(1, 4):
        batch = x, padding(seed)
        with torch.no_grad():
            made, exact = found.model(*batch), model(*batch)
        assert (made - exact).norm() < 0.1 * exact.norm()
    (region,) = regions_in(found._root).values()
    assert len(region.session.programs) == 1
    use_backend(found._root, None)


def test_an_encoder_layer():
    found, model, batch = quantized(Layer, padding())
    with torch.no_grad():
        exact = model(*batch)
    integers = run_by(found, None, batch)
    seen = ~batch[1]
    assert (integers - exact)[seen].norm() < 0.05 * exact[seen].norm()
    assert torch.equal(run_by(found, 'native', batch), integers)


class Filled(nn.Module):
    """A bias that model code fills and reads again.

    Args:
        first: What the bias has before.
    """

    def __init__(self, first):
        super().__init__()
        self.query = nn.Linear(DIMS, DIMS)
        self.first = first

    def forward(self, x, hidden):
        bias = torch.full(hidden.shape, self.first)
        bias.masked_fill_(hidden, float('-inf'))
        scores = self.query(x) @ x.transpose(1, 2) + bias[:, None]
        return scores.softmax(-1) @ x


@pytest.mark.parametrize('first', [0.0, 1.0])
def test_a_filled_tensor_is_not_read_in_silence(first):
    """Only what ``masked_fill_`` returns is a value of the region."""
    torch.manual_seed(0)
    batches = [(torch.randn(4, LENGTH, DIMS), padding())]
    words = 'use what masked_fill returns' if first == 0 else 'only of zeros'
    with pytest.raises(ConfigError, match=words):
        iptq_mm.quantize(Filled(first).eval(), batches, settings=FEW)
