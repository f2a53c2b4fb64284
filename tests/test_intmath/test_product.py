"""Products of integers: every fast path is the int64 reference, bit for bit."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch._subclasses import FakeTensorMode
from torch.nn import functional as F

from iptq_mm.intmath import product
from iptq_mm.intmath.product import (
    carrier,
    integer_conv2d,
    integer_linear,
    integer_matmul,
    reference_products,
)

seeds = st.integers(0, 2**31)
sizes = st.integers(0, 9)


@pytest.fixture(params=['default', 'no vnni'])
def machine(request, monkeypatch):
    """With and without the CPU's int8 instructions."""
    if request.param == 'no vnni':
        monkeypatch.setattr(product, 'int8_product_is_exact', lambda: False)


def integers(low, high, *shape, seed=0, extremes=False):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(low, high + 1, shape, generator=generator)
    if extremes:
        values = torch.where(values * 2 < low + high, low, high)
    dtype = next(
        d
        for d in (torch.int8, torch.int16, torch.int32)
        if torch.iinfo(d).min <= low and high <= torch.iinfo(d).max
    )
    return values.to(dtype)


def reference(function, *args, **kwargs):
    with reference_products():
        return function(*args, **kwargs)


@settings(deadline=None, max_examples=100)
@given(seeds, sizes, sizes, sizes, st.sampled_from([7, 127, 255, 32767, 65535]))
def test_matmul(seed, n, k, m, largest):
    a = integers(-largest, largest, 2, n, k, seed=seed, extremes=seed % 2 > 0)
    b = integers(-127, 127, k, m, seed=seed + 1, extremes=seed % 3 > 0)
    bound = max(k, 1) * largest * 127
    fast = integer_matmul(a, b, bound)
    assert torch.equal(fast, reference(integer_matmul, a, b, bound))
    assert torch.equal(fast.long(), a.long() @ b.long())
    assert fast.dtype == torch.int32


@pytest.mark.parametrize('bits', [8, 16, 22])
@pytest.mark.parametrize('terms', [1, 100, 1000, 20000])
def test_matmul_at_its_bound(bits, terms):
    largest = 2 ** (bits - 1) - 1
    bound = terms * largest * largest
    a = torch.full((2, terms), largest, dtype=torch.int32)
    b = torch.full((terms, 3), -largest, dtype=torch.int32)
    b[:, 1] = largest
    result = integer_matmul(a, b, bound)
    assert result.tolist() == [[-bound, bound, -bound]] * 2
    assert result.dtype == (torch.int32 if bound < 2**31 else torch.int64)


CODES = [(-128, 127), (-127, 127), (-30, 225), (0, 255), (-255, 0), (0, 63), (-5, 250)]


@pytest.mark.usefixtures('machine')
@pytest.mark.parametrize('low, high', [*CODES, (-32767, 32767)])
@pytest.mark.parametrize('shape', [(5,), (3, 5), (2, 3, 5), (0, 5), (2, 0, 5), (1, 1)])
def test_linear(low, high, shape):
    for seed in range(6):
        x = integers(low, high, *shape, seed=seed, extremes=seed % 2 > 0)
        weight = integers(-128, 127, 4, shape[-1], seed=seed, extremes=seed % 3 > 0)
        bound = shape[-1] * max(-low, high) * 128
        shift = 0 if low >= -128 and high <= 127 or high - low > 255 else low + 128
        fast = integer_linear(x, weight, bound, shift)
        expected = x.long() @ weight.long().t()
        assert fast.dtype == torch.int32 and fast.shape == (*shape[:-1], 4)
        assert torch.equal(fast.long(), expected)
        assert torch.equal(fast, reference(integer_linear, x, weight, bound, shift))


@settings(deadline=None, max_examples=100)
@given(
    seeds,
    st.integers(0, 40),
    st.integers(1, 300),
    st.integers(1, 40),
    st.sampled_from(CODES),
)
@example(1, 3, 16384, 2, (-255, 0))
@example(0, 1, 16384, 33, (-128, 127))
def test_linear_of_any_size(seed, n, k, m, codes):
    low, high = codes
    x = integers(low, high, n, k, seed=seed, extremes=seed % 2 > 0)
    weight = integers(-128, 127, m, k, seed=seed, extremes=seed % 3 > 0)
    shift = 0 if low >= -128 and high <= 127 else low + 128
    fast = integer_linear(x, weight, 2**31 - 1, shift)
    assert torch.equal(fast.long(), x.long() @ weight.long().t())


def test_linear_all_at_the_limit():
    """Sums in 16 bits, as instructions before VNNI make them, would saturate."""
    x = torch.full((4, 512), -128, dtype=torch.int8)
    weight = torch.full((6, 512), -128, dtype=torch.int8)
    assert (integer_linear(x, weight, 512 * 2**14) == 512 * 2**14).all()
    x = torch.full((4, 512), 255, dtype=torch.int16)
    assert (integer_linear(x, weight, 2**30, shift=128) == -512 * 255 * 128).all()


VIEWS = {
    'transposed': lambda x: x.transpose(0, 1),
    'expanded': lambda x: x[:1].expand(7, -1),
    'every second': lambda x: x[::2],
    'columns': lambda x: x[:, 1:],
    'one row of stride 0': lambda x: x[:1].as_strided((1, 9), (0, 1)),
    'one column': lambda x: x[:, :1],
    'row of a column': lambda x: x[:, :1].t(),
}


@pytest.mark.parametrize('name', VIEWS)
def test_linear_of_any_strides(name):
    """torch._int_mm gives anything for some of them."""
    for _ in range(5):
        torch.full((100, 100), 7)  # something to be found in unwritten memory
        x = VIEWS[name](integers(-128, 127, 9, 9))
        weight = integers(-128, 127, 5, x.shape[-1])
        expected = x.long() @ weight.long().t()
        assert torch.equal(integer_linear(x, weight, 10**6).long(), expected)
        turned = integers(-128, 127, x.shape[-1], 5).t()
        expected = x.long() @ turned.long().t()
        assert torch.equal(integer_linear(x, turned, 10**6).long(), expected)


@settings(deadline=None, max_examples=60)
@given(
    seeds,
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(1, 2),
    st.sampled_from([(1, 1), (3, 3), (2, 5)]),
    st.sampled_from([(-128, 127), (0, 255), (-32767, 32767)]),
)
def test_conv2d(seed, batch, stride, padding, groups, kernel, codes):
    x = integers(*codes, batch, 4, 8, 7, seed=seed, extremes=seed % 2 > 0)
    weight = integers(-128, 127, 6, 4 // groups, *kernel, seed=seed)
    bound = 4 * 25 * 32767 * 128
    attributes = dict(stride=stride, padding=padding, groups=groups)
    fast = integer_conv2d(x, weight, bound, **attributes)
    expected = F.conv2d(x.double(), weight.double(), **attributes)
    assert torch.equal(fast.double(), expected)
    assert torch.equal(fast, reference(integer_conv2d, x, weight, bound, **attributes))


def test_carrier():
    assert carrier(2**24) == torch.float32
    assert carrier(2**24 + 1) == carrier(2**53) == torch.float64
    assert carrier(2**53 + 1) == torch.int64
    assert reference(carrier, 1) == torch.int64
    previous = torch.get_float32_matmul_precision()
    try:
        for precision in ('high', 'medium'):
            torch.set_float32_matmul_precision(precision)
            assert carrier(1) == torch.float64
    finally:
        torch.set_float32_matmul_precision(previous)


def test_reference_products_end_with_their_block():
    assert carrier(1) == torch.float32
    with reference_products():
        assert carrier(1) == torch.int64
        with reference_products(False):
            assert carrier(1) == torch.float32
        assert carrier(1) == torch.int64
    with pytest.raises(KeyError), reference_products():
        raise KeyError
    assert carrier(1) == torch.float32


def test_reference_products_are_those_of_one_thread():
    with reference_products(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(carrier, 1).result() == torch.float32
        assert carrier(1) == torch.int64


@pytest.mark.parametrize('isa', ['AVX2', 'AVX512_CORE', 'ALL'])
def test_products_where_onednn_may_not_use_all_of_the_cpu(isa):
    code = """
import torch
from iptq_mm.intmath.product import int8_product_is_exact, integer_linear
x, weight = torch.full((3, 8), 255), torch.full((5, 8), 127, dtype=torch.int8)
made = integer_linear(x, weight, 2**30, shift=128)
assert (made == 255 * 127 * 8).all(), made
print(int8_product_is_exact())
"""
    environment = {**os.environ, 'ONEDNN_MAX_CPU_ISA': isa}
    made = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    if isa != 'ALL':  # nothing between these has products of bytes
        assert made.stdout.strip() == 'False'


@pytest.mark.parametrize('mode', [FakeTensorMode, lambda: torch.device('meta')])
def test_products_are_tried_outside_of_the_caller_s_modes(mode):
    expected = product.int8_product_is_exact()
    product.int8_product_is_exact.cache_clear()
    with mode():  # as a caller that traces
        assert product.int8_product_is_exact() == expected
