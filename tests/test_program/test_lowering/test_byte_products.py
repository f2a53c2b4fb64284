"""Products by bytes are products."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from iptq_mm.intmath.product import int8_product_is_exact
from iptq_mm.program.lowering import byte_products
from iptq_mm.program.lowering.byte_products import byte_matmul, suits

needs_vnni = pytest.mark.skipif(
    not int8_product_is_exact(), reason='needs exact products of bytes'
)


@st.composite
def factors(draw: st.DrawFn) -> tuple[Tensor, Tensor, int, int]:
    """Of any span that two bytes hold, often at the ends of it."""
    batch, n, k, m = (draw(st.integers(i, 9)) for i in (1, 2, 2, 2))
    span = draw(st.sampled_from([0, 1, 255, 256, 257, 65534, 65535]))
    low = draw(st.sampled_from([-128, -129, -32768, 0, 1, 2**20, -(2**20)]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))

    def of(size: tuple[int, ...], low: int, high: int) -> Tensor:
        x = torch.randint(low, high + 1, size, generator=generator)
        ends = torch.randint(0, 3, size, generator=generator)
        return torch.where(ends == 0, low, torch.where(ends == 1, high, x))

    a = of((batch, n, k), low, low + span)
    return a, of((batch, k, m), -128, 127).to(torch.int8), low, low + span


def exact(a: Tensor, b: Tensor, low: int, high: int) -> bool:
    return torch.equal(byte_matmul(a, b, low, high).long(), a.long() @ b.long())


@needs_vnni
@given(factors())
def test_a_product_by_bytes_is_the_product(case):
    assert exact(*case)


@needs_vnni
@pytest.mark.parametrize('probability', [0, 65535])
@pytest.mark.parametrize('value', [-128, 127])
@pytest.mark.parametrize('size', [197, 300, 4096])
def test_of_extremes(probability, value, size):
    a = torch.full((1, 2, size), probability)
    b = torch.full((1, size, 2), value, dtype=torch.int8)
    assert exact(a, b, 0, 65535)


def test_elsewhere_it_is_the_same(monkeypatch):
    a = torch.randint(-128, 128, (3, 4, 5)).to(torch.int8)
    b = torch.randint(-128, 128, (3, 5, 2)).to(torch.int8)
    made = byte_products._int8_bmm_elsewhere(a, b)
    assert torch.equal(made.long(), a.long() @ b.long())
    assert made.dtype == torch.int32


def test_what_it_is_for(monkeypatch):
    monkeypatch.setattr(byte_products, 'int8_product_is_exact', lambda: True)
    large, bounds = [(2, 3, 64, 64), (2, 3, 64, 64)], [(0, 65535), (-128, 127)]
    assert suits(large, bounds)
    assert not suits([(2, 3, 49, 32), (2, 3, 32, 49)], bounds)  # a call for each
    assert not suits([(2, 3, 64, 64), (64, 64)], bounds)
    assert not suits([(64,), (64,)], bounds)
    assert not suits([(1, 2**18), (2**18, 1)], bounds)
    assert not suits([(2, 70_000), (70_000, 2)], bounds)  # a sum beyond 32 bits
    assert not suits(large, [(0, 65536), (-128, 127)])
    assert not suits(large, [(2**31 - 9, 2**31), (-128, 127)])
    assert not suits(large, [(0, 65535), (-128, 128)])
    monkeypatch.setattr(byte_products, 'int8_product_is_exact', lambda: False)
    assert not suits(large, bounds)
