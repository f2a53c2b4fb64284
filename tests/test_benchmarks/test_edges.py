"""What other tools do at the edges, and what this project does there."""

import edges
import numpy as np
import pytest
import torch

from iptq_mm.intmath import Dyadic, QParams, requantize

EVEN, AFTER_ZERO = [0, 2, 2, 4], [1, 1, 3, 3]


@pytest.mark.parametrize('name', edges.QUANTIZERS)
def test_halves(name):
    """To even; with an odd zero point, it matters whether that is added before."""
    if name == 'Brevitas':
        pytest.importorskip('brevitas', reason='pip install brevitas')
    if name.startswith('ONNX Runtime'):
        pytest.importorskip('onnxruntime', reason='pip install onnx onnxruntime')
    if name == 'torch.quantize_per_tensor' and not hasattr(torch, 'uint16'):
        pytest.skip('torch 2.1 adds the zero point after rounding, 2.13 before')
    x = torch.tensor(edges.HALVES)
    before = name in ('torch.quantize_per_tensor', 'Brevitas')
    quantize = edges.QUANTIZERS[name]
    assert quantize(x, 128).tolist() == EVEN
    assert quantize(x, 127).tolist() == (AFTER_ZERO if before else EVEN)
    # All agree but for halves.
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(1000, generator=generator) - 0.5) * 300
    for zero in (128, 127):
        expected = x.round().clamp(-zero, 255 - zero)
        assert quantize(x, zero).tolist() == expected.tolist()


def test_an_asymmetric_range_is_not_moved_by_its_zero():
    """Where a byte has an odd zero point, the integers are those without one."""
    x = torch.tensor(edges.HALVES)
    bytes_of = [QParams(1.0, -zero, 255 - zero).quantize(x) for zero in (0, 51, 127)]
    assert all(q.tolist() == EVEN for q in bytes_of)


def test_one_rounding_and_two():
    count = 1 << 15
    found = edges.requantized(count)
    other = {k: int((found[k] != found['exact']).sum()) for k in found}
    assert other['ours'] == 0
    assert 1e-3 < other['gemmlowp'] / count < 6e-3
    assert other['float32'] <= 3
    assert abs(found['gemmlowp'] - found['exact']).max() == 1


def test_two_roundings_of_known_numbers():
    """511 of 1024 is less than a half; rounded to 256 of 512, it is one."""
    x, half = np.array([511, 510, -511, -510]), np.array([1 << 30])
    once = edges.doubling_high_product(x, half)
    assert once.tolist() == [256, 255, -255, -255]
    assert edges.divided_by_power(once, np.array([9])).tolist() == [1, 0, 0, 0]
    exact = requantize(torch.from_numpy(x), Dyadic(1, 10))
    assert exact.tolist() == [0, 0, 0, 0]


def test_names_of_observers():
    from torch.ao.quantization import MinMaxObserver, MovingAverageMinMaxObserver

    seen = edges.batches()
    assert edges.clipped(MinMaxObserver(), seen) == 0
    assert edges.clipped(MovingAverageMinMaxObserver(), seen) > 5e-4


def test_equal_scores():
    """Up to 16 the sort of torch is stable; beyond, it depends on the CPU."""
    assert edges.moved_by_ties(16) == 0
    order = torch.full((1000,), 0.5).argsort(descending=True, stable=True)
    assert order.tolist() == list(range(1000))
    if not edges.moved_by_ties(17):
        pytest.skip('this torch sorts equal numbers stably on this CPU')
    assert edges.moved_by_ties(1000) > 500


@pytest.mark.slow
def test_figures_are_printed(monkeypatch, capsys):
    monkeypatch.setattr(edges.sys, 'argv', ['edges.py', '--count', '1000'])
    assert edges.main() == 0
    out = capsys.readouterr().out
    assert 'torch.quantize_per_tensor: [0, 2, 2, 4] [1, 1, 3, 3]' in out
    assert '1000 requantizations' in out and 'MinMaxObserver clips 0.000%' in out
