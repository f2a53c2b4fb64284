"""Products of bytes on a GPU: zeros around them, and the trial before they serve."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import QParams, gpu_product
from iptq_mm.intmath.gpu_product import gpu_product_is_exact
from iptq_mm.intmath.product import (
    int8_product_is_exact,
    integer_conv2d,
    integer_linear,
)

CPU = torch.device('cpu')
needs_bytes = pytest.mark.skipif(
    not int8_product_is_exact(), reason='this CPU has no exact products of bytes'
)
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='NO GPU: this test needs one'
)


def integers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-128, 128, shape, generator=generator).to(torch.int8)


@needs_bytes
@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 40), st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**20)
)
def test_zeros_change_nothing(n, k, m, seed):
    a, b = integers(n, k, seed=seed), integers(k, m, seed=seed + 1)
    made = gpu_product.gpu_product(a, b)
    assert made.dtype == torch.int32 and made.shape == (n, m)
    assert torch.equal(made.long(), a.long() @ b.long())


@needs_bytes
def test_kernels_get_the_sizes_that_they_want(monkeypatch):
    real, seen = torch._int_mm, []

    def strict(a, b):
        seen.append((tuple(a.shape), tuple(b.shape), b.stride(0)))
        assert a.shape[0] > 16 and not a.shape[1] % 8 and not b.shape[1] % 8
        assert a.is_contiguous() and b.t().is_contiguous()
        return real(a, b)

    monkeypatch.setattr(torch, '_int_mm', strict)
    for n, k, m in ((1, 1, 1), (17, 8, 8), (24, 16, 8), (197, 192, 10)):
        a, b = integers(n, k), integers(k, m)
        assert torch.equal(gpu_product.gpu_product(a, b).long(), a.long() @ b.long())
    assert len(seen) == 4


@needs_bytes
def test_the_trial(monkeypatch):
    fresh = gpu_product_is_exact.__wrapped__
    assert fresh(CPU)
    real = torch._int_mm
    # Sums that saturate, as of instructions for pairs of bytes in 16 bits.
    monkeypatch.setattr(torch, '_int_mm', lambda a, b: real(a, b).clamp(-32768, 32767))
    assert not fresh(CPU)

    def refuses(a, b):
        raise RuntimeError('not supported on this GPU')

    monkeypatch.setattr(torch, '_int_mm', refuses)
    assert not fresh(CPU)


@needs_gpu
@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 300), st.integers(2, 600), st.integers(1, 300), st.integers(0, 99)
)
def test_linear_on_a_gpu(n, k, m, seed):
    x, weight = integers(n, k, seed=seed), integers(m, k, seed=seed + 1)
    expected = x.long() @ weight.long().t()
    made = integer_linear(x.cuda(), weight.cuda(), k * 2**14)
    assert torch.equal(made.cpu().long(), expected)
    wide = x.short() + 100
    made = integer_linear(wide.cuda(), weight.cuda(), k * 2**15, shift=100)
    assert torch.equal(made.cpu().long(), wide.long() @ weight.long().t())


@needs_gpu
@pytest.mark.parametrize('kernel', [1, 3, 7, 16])
def test_conv2d_on_a_gpu(kernel):
    x, weight = integers(2, 8, 48, 48), integers(8, 8, kernel, kernel, seed=1)
    bound = 8 * kernel**2 * 2**14
    made = integer_conv2d(x.cuda(), weight.cuda(), bound, padding=kernel // 2)
    assert torch.equal(
        made.cpu(), integer_conv2d(x, weight, bound, padding=kernel // 2)
    )


@needs_gpu
def test_quantizers_divide_on_a_gpu_as_on_the_cpu():
    """Halves are rounded alike: a GPU that multiplies by the reciprocal errs there."""
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        scale = float(torch.rand((), generator=generator)) + 1e-3
        qparams = QParams(torch.tensor(scale).item(), -32768, 32767)
        steps = torch.randint(-30000, 30000, (4096,), generator=generator) + 0.5
        x = (steps.double() * qparams.scale).float()
        assert torch.equal(qparams.quantize(x.cuda()).cpu(), qparams.quantize(x))
