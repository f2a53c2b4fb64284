"""docs/tour.md, "How do I add SiLU?": its five parts, put in by hand, are enough."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.calibration.config import candidates
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.functions import IntegerFunction
from iptq_mm.functions.gelu.table_gelu import TableGELU
from iptq_mm.operations import OPERATIONS, NonLinear
from iptq_mm.program import trace, use_backend
from iptq_mm.program.audit import audit_program
from iptq_mm.qtensor import RULES
from iptq_mm.qtensor.rules.operands import run_operation
from iptq_mm.registry import FUNCTIONS


class SiLUFunction(IntegerFunction):
    """Approximations of SiLU."""

    kind = 'silu'

    @staticmethod
    def reference(x):
        return F.silu(x)


class TableSiLU(SiLUFunction):
    """SiLU of an 8-bit input."""

    max_input_bits = 8

    def prepare(self, site):
        q = torch.arange(site.x.qmin, site.x.qmin + 256, dtype=torch.float64)
        table = torch.round(self.reference(q * site.x.scale) / site.out.scale)
        return {'table': table.long(), 'first': site.x.qmin}

    integer = TableGELU.integer
    operations = TableGELU.operations


class SiLU(NonLinear):
    """SiLU, elementwise."""

    kind = 'silu'

    def real(self, inputs, attributes):
        return F.silu(inputs[0])


def _silu(mode, x, inplace=False):
    return run_operation(mode, 'silu', [x], {})


class Model(nn.Module):
    """A model with one region."""

    def __init__(self):
        super().__init__()
        layers = nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16), nn.LayerNorm(16)
        self.backbone = nn.Sequential(*layers)

    def test_step(self, x):
        return self.backbone(x)


@pytest.fixture
def silu(monkeypatch):
    monkeypatch.setitem(FUNCTIONS.module_dict, 'table_silu', TableSiLU)
    monkeypatch.setitem(OPERATIONS, 'silu', SiLU())
    monkeypatch.setitem(RULES, F.silu, _silu)
    monkeypatch.setitem(candidates.DEFAULT, 'silu', ['table_silu'])


def test_silu_from_a_model_to_native_code(silu):
    torch.manual_seed(0)
    model, x = Model().eval(), torch.randn(4, 10, 16)
    with torch.no_grad():
        expected = model.test_step(x)
        config = QuantizationConfig.from_dict(
            dict(regions=['backbone'], criterion=dict(type='sqnr'))
        )
        result = quantize_model(model, config, [x])
        assert result.assignment()['backbone:1/silu:0'] == 'table_silu'
        integers = model.test_step(x)
        assert (integers - expected).norm() < 0.03 * expected.norm()
        program = trace(model.backbone, (x,)).program
        assert program.count()['silu'] == 1
        assert not audit_program(program).findings
        for backend in ('reference', 'native'):
            use_backend(model, backend)
            assert torch.equal(model.test_step(x), integers)
