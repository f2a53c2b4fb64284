"""Which back end evaluates a model."""

import pytest
import torch

from iptq_mm.engine.loading.backends import AUTO, EAGER, chosen_backend
from iptq_mm.program import Native

CPU = torch.device('cpu')


@pytest.mark.parametrize(
    ('given', 'configured', 'expected'),
    [
        ('onnx', 'reference', 'onnx'),
        (None, 'reference', 'reference'),
        (None, None, None),
        (EAGER, 'reference', None),
        (AUTO, 'reference', 'reference'),
        (AUTO, None, 'native'),
    ],
)
def test_the_choice(monkeypatch, given, configured, expected):
    monkeypatch.setattr(Native, 'compiles', lambda: True)
    assert chosen_backend(given, configured, CPU) == expected


def test_where_native_does_not_run(monkeypatch):
    assert chosen_backend(AUTO, None, torch.device('cuda')) is None
    monkeypatch.setattr(Native, 'compiles', lambda: False)
    assert chosen_backend(AUTO, None, CPU) is None
