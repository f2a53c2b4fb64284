"""What is said where onnx or onnxruntime is missing."""

import sys

import pytest
import torch
from program_cases import lone

from iptq_mm.program.backends.onnx import Onnx, export_onnx


@pytest.mark.parametrize('package', ['onnx', 'onnxruntime'])
def test_the_back_end_names_them(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    program = lone('negate', [((3, 4), -5, 5)], (-5, 5))
    with pytest.raises(RuntimeError, match='pip install -r requirements/optional.txt'):
        Onnx().prepare(program, torch.device('cpu'))


def test_the_export_names_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    program = lone('negate', [((3, 4), -5, 5)], (-5, 5))
    with pytest.raises(RuntimeError, match='package onnx is missing'):
        export_onnx(program, tmp_path / 'x.onnx')
    assert not list(tmp_path.iterdir())
