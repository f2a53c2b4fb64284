"""Back ends compared on the test data."""

import pytest
import torch

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.audit import backend_check
from iptq_mm.engine.audit.backend_check import check_backends
from iptq_mm.program import Backend
from iptq_mm.program.backends.reference import NodeByNode
from iptq_mm.registry import BACKENDS

pytestmark = pytest.mark.usefixtures('one_thread')


def test_equal(run):
    checks = check_backends(
        run.folder / 'integer.py', None, ['reference'], images=2, batch_size=1
    )
    assert list(checks) == ['eager', 'reference']
    assert checks['eager'].values == checks['reference'].values > 0
    assert checks['eager'].different == checks['reference'].different == 0


def test_one_bit(vit_run, monkeypatch):
    class OneBitOff(NodeByNode):
        def run(self, integers):
            outputs = [x.clone() for x in super().run(integers)]
            outputs[0].view(-1)[0] ^= 1
            return outputs

    class Wrong(Backend):
        def prepare(self, program, device):
            return OneBitOff(program, device)

    monkeypatch.setitem(BACKENDS.module_dict, 'wrong', Wrong)
    checks = check_backends(
        vit_run.folder / 'integer.py', None, ['wrong'], images=1, batch_size=1
    )
    assert 1 <= checks['wrong'].different < checks['wrong'].values


def test_other_shapes():
    x = torch.zeros(2, 3)
    assert backend_check._differences([x], [x[:1]]) == 3
    assert backend_check._differences([x], [x, x]) == 1


def test_mistakes(vit_run):
    with pytest.raises(ConfigError, match='no quantized region'):
        check_backends(vit_run.config, vit_run.checkpoint, ['reference'])
    with pytest.raises(ConfigError, match='no back end'):
        check_backends(vit_run.folder / 'integer.py', None, ['fast'])
