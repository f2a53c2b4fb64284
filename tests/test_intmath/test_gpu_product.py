"""Products of bytes on a GPU: zeros around them, and the trial before they serve."""

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import QParams, gpu_product
from iptq_mm.intmath.gpu_product import gpu_product_is_exact
from iptq_mm.intmath.product import integer_conv2d, integer_linear

CPU = torch.device('cpu')
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='NO GPU: this test needs one'
)


def integers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-128, 128, shape, generator=generator).to(torch.int8)


def kernel(a, b):
    """As strict as that of CUDA, and exact on any machine."""
    assert a.shape[0] > 16 and not a.shape[1] % 8 and not b.shape[1] % 8
    assert a.is_contiguous() and b.t().is_contiguous()
    return (a.long() @ b.long()).to(torch.int32)


@pytest.fixture(autouse=True)
def strict_kernel(request, monkeypatch):
    if 'gpu' not in request.node.name:
        monkeypatch.setattr(torch, '_int_mm', kernel)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.integers(1, 40), st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**20)
)
@example(1, 1, 1, 0)
@example(24, 16, 8, 0)
def test_zeros_change_nothing(n, k, m, seed):
    a, b = integers(n, k, seed=seed), integers(k, m, seed=seed + 1)
    for right in (b, b.t().contiguous().t()):
        made = gpu_product.gpu_product(a, right)
        assert made.dtype == torch.int32 and made.shape == (n, m)
        assert torch.equal(made.long(), a.long() @ b.long())


def test_the_trial(monkeypatch):
    fresh = gpu_product_is_exact.__wrapped__
    assert fresh(CPU)
    # Sums that saturate, as of instructions for pairs of bytes in 16 bits.
    monkeypatch.setattr(
        torch, '_int_mm', lambda a, b: kernel(a, b).clamp(-(2**15), 2**15)
    )
    assert not fresh(CPU)

    def refuses(a, b):
        raise RuntimeError('not supported on this card')

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
