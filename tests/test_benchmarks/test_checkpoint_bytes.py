"""Bytes of integer checkpoints."""

import sys

import checkpoint_bytes
import pytest
import torch
from region_models import config, images, quantized, vit

from iptq_mm.engine import save_quantized


def _written(path, bits):
    weight = dict(bits=bits, rounding=dict(type='nearest'))
    batches = [images(2, 3, 16, 16)]
    with torch.no_grad():
        net = quantized(vit(dims=16, size=16), batches, config(weight=weight))
    save_quantized(net, path)
    return path, net


@pytest.mark.parametrize('bits', [4, 8])
def test_sizes(bits, tmp_path, monkeypatch, capsys):
    path, net = _written(tmp_path / 'integer.pth', bits)
    found = checkpoint_bytes.sizes(path)
    integers = [p.numel() * p.element_size() for p in net.backbone.parameters()]
    assert found.regions_in_bytes == sum(integers)
    if bits == 8:
        assert found.weights == 0 and found.regions == found.regions_in_bytes
    else:
        assert 0.4 < found.weights / found.weights_in_bytes < 0.55
        less = found.weights_in_bytes - found.weights
        assert found.regions == found.regions_in_bytes - less + 1  # the version
    monkeypatch.setattr(sys, 'argv', ['checkpoint_bytes.py', str(path)])
    assert checkpoint_bytes.main() == 0
    assert f'| {found.regions} |' in capsys.readouterr().out
