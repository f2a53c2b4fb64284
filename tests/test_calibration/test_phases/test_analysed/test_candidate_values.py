"""Candidates that are looked up or run natively have the results of their functions."""

import pytest
import torch
from region_models import CANDIDATES, Net, config, images, vit

from iptq_mm.calibration import analyse, observe
from iptq_mm.calibration.phases.analysed.candidate_values import CandidateValues
from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams
from iptq_mm.operations import OPERATIONS
from iptq_mm.program.runtime.site_kernels import SiteKernels
from iptq_mm.qtensor import QTensor
from iptq_mm.registry import FUNCTIONS

BATCHES = [images(2, 3, 32, 32, seed=s) for s in range(2)]
OUT = QParams.asymmetric(-0.2, 3.0, 8)


def operand(rows, bits=10, seed=0):
    x = QParams.asymmetric(-2.0, 3.0, bits)
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(x.qmin, x.qmax + 1, (1, rows, 8), generator=generator)
    return QTensor(values.to(torch.int16), x)


@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='i_gelu'),
        dict(type='shift_gelu'),
        dict(type='shift_gelu', literal=True),  # looks at the largest of a row
        dict(type='interpolated_gelu'),
    ],
)
@pytest.mark.parametrize('rows', [4, 400])  # fewer elements than integers, and more
def test_elementwise_functions(cfg, rows):
    function, made = FUNCTIONS.build(cfg), CandidateValues()
    for seed, out in enumerate((OUT, OUT, QParams.asymmetric(-0.2, 1.0, 8))):
        x = operand(rows, seed=seed)
        constants = function.prepare(FunctionSite(x.qparams, out))
        values = made('a', OPERATIONS['gelu'], function, [x], {}, constants, out)
        expected = out.dequantize(out.saturate(function.integer(x.payload, constants)))
        assert torch.equal(values, expected)


def test_a_lookup_leaves_the_integers_as_they_are():
    """Those of 32 bits, too, as a wide range that is not symmetric has."""
    x = operand(400)
    x = QTensor(x.payload.int(), x.qparams)
    before, function = x.payload.clone(), FUNCTIONS.build(dict(type='i_gelu'))
    constants = function.prepare(FunctionSite(x.qparams, OUT))
    made = CandidateValues()
    first, again = (
        made('a', OPERATIONS['gelu'], function, [x], {}, constants, OUT)
        for _ in range(2)
    )
    assert torch.equal(x.payload, before) and torch.equal(first, again)


def test_a_table_is_made_once_for_the_same_constants(monkeypatch):
    function, x, made = FUNCTIONS.build(dict(type='i_gelu')), operand(400), []
    constants = function.prepare(FunctionSite(x.qparams, OUT))
    compute = function.integer
    monkeypatch.setattr(
        function, 'integer', lambda q, c: made.append(q) or compute(q, c)
    )
    values = CandidateValues()
    for _ in range(3):
        values('a', OPERATIONS['gelu'], function, [x], {}, constants, OUT)
    # Once more to see whether results depend on rows.
    assert [q.numel() for q in made] == [2**10, 2**10]


def test_the_analysis_is_the_same_natively():
    """Softmax and LayerNorm by kernels, which all candidates of the presets have."""
    net, cfg, used = Net(vit()).eval(), config(CANDIDATES), []
    kernels = SiteKernels()

    def kernel(*args):
        used.append(made := kernels(*args))
        return made

    found = []
    for given in (None, kernel):
        records = observe(net, cfg, net, BATCHES)
        analyse(net, cfg, records, net, BATCHES, given)
        errors = records['backbone'].candidates
        found.append(
            {s: {n: e.to_dict() for n, e in c.items()} for s, c in errors.items()}
        )
    assert found[0] == found[1]
    assert sum(made is not None for made in used) > 10
