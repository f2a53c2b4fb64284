"""Any number of rows by programs of a few sizes."""

import pytest
import torch
from detector_parts import Beside, bbox_head, boxes, mask_head
from hypothesis import given
from hypothesis import strategies as st
from region_models import Custom, quantized, rows, same

from iptq_mm.modes import bound_region
from iptq_mm.program import Executable, trace, use_backend
from iptq_mm.program.runtime.dynamic_rows.sizes import (
    MOST_ROWS,
    AnyRows,
    parts,
    size_for,
)
from iptq_mm.program.runtime.programs import storage_bytes

pytestmark = pytest.mark.usefixtures('no_grad')

steps = st.sampled_from([1, 2, 4, 8])


@given(st.integers(1, 2000), steps)
def test_sizes(count, steps):
    size = size_for(count, steps)
    assert count <= size <= count * (1 + 1 / steps)
    assert size_for(size, steps) == size


@given(steps, st.integers(3, 10))
def test_few_sizes(steps, doublings):
    most = 2**doublings
    found = {size_for(n, steps) for n in range(1, most + 1)}
    assert most in found and len(found) <= 2 + steps * doublings


@given(st.integers(0, 2000), steps)
def test_parts(count, steps):
    found = list(parts(count, steps))
    assert [s for s, _, _ in found] == list(range(0, count, MOST_ROWS))
    assert sum(n for _, n, _ in found) == count
    assert all(n <= size <= MOST_ROWS for _, n, size in found)


@pytest.fixture(scope='module')
def head():
    with torch.no_grad():
        return quantized(Beside(mask_head()), [(boxes(4, seed=s),) for s in range(2)])


def found(net):
    return bound_region(net.backbone).session


def row_counts(net):
    """Numbers of rows that there are programs for, the latest used last."""
    return [made.program.values[0].shape[0] for made in found(net).programs]


def test_every_count_gives_the_same_bits(head):
    counts = [5, 0, 1, 2, 3, 9, 17, 40, 300, 513, 5]
    expected = [head(boxes(n, seed=n)) for n in counts]
    try:
        use_backend(head, 'reference')
        for n, y in zip(counts, expected, strict=True):
            assert same(head(boxes(n, seed=n)), y)
    finally:
        sizes = set(row_counts(head))
        use_backend(head, None)
    assert sizes == {5, 1, 2, 3, 10, 20, 40, 256, 48}


def test_no_rows_at_first(head):
    expected = head(boxes(0))
    assert expected[0].shape == (0, 2, 6, 6)
    use_backend(head, 'reference')
    assert same(head(boxes(0)), expected) and not found(head).programs
    use_backend(head, None)


def test_one_row_at_first_needs_no_more_than_its_program(head):
    use_backend(head, 'reference')
    head(boxes(1))
    assert not found(head).any_rows
    head(boxes(3))
    head(boxes(1))
    assert len(found(head).programs) == 2
    use_backend(head, None)


def test_regions_whose_rows_meet_are_asked_once():
    calls = []

    def body(m, x):
        calls.append(len(x))
        return m.last(x.flatten(0, 1))

    net = quantized(Custom(body), [rows(3, 5)])
    use_backend(net, 'reference')
    calls.clear()
    for n in (4, 6):
        net(rows(n, 5))
    assert calls == [2, 4, 6] and not found(net).any_rows
    assert len(found(net).programs) == 2


def test_other_weights_are_seen():
    net = quantized(Custom(lambda m, x: m.last(x)), [rows(3, 5)])
    use_backend(net, 'reference')
    before = net(rows(4, 5))
    net.backbone.last.weight.neg_()
    after = net(rows(4, 5))
    use_backend(net, None)
    assert same(net(rows(4, 5)), after) and not same(before, after)


def test_memory_is_bounded(head):
    use_backend(head, 'reference')
    head(boxes(4))
    (one,) = found(head).programs
    weights = storage_bytes(one.executable.held())
    assert found(head).bytes == weights > 0
    for n in (4, 8, 3, 2):
        head(boxes(n))
    assert row_counts(head) == [4, 8, 3, 2]
    # They have nothing but the weights, which they share.
    assert found(head).bytes == weights
    use_backend(head, 'reference', memory_mb=weights / 2**21)
    for n in (4, 8, 3):
        head(boxes(n))
    assert row_counts(head) == [3]
    use_backend(head, None)


def test_peak_of_a_program():
    net = quantized(Custom(lambda m, x: m.last(x)), [rows(3, 5)])
    program = trace(net.backbone, (rows(3, 5),)).program
    widths = [v.dtype.itemsize * v.shape[-1] * 15 for v in program.values]
    neighbours = zip(widths, widths[1:], strict=False)
    assert program.peak_bytes() == max(a + b for a, b in neighbours)


def test_no_more_than_the_largest_size_at_a_time(head):
    program = trace(head.backbone, (boxes(3),)).program
    sizes = []

    class Ones(Executable):
        def run(self, integers):
            shapes = [self.program.values[p.value].shape for p in self.program.outputs]
            return [torch.ones(len(integers[0]), *shape[1:]) for shape in shapes]

    def prepared(size):
        sizes.append(size)
        return Ones(program)

    x = [torch.zeros(600, 6, 3, 3, dtype=torch.int8)]
    outputs = AnyRows(program, prepared, 4).run(x)
    assert sizes == [256, 256, 96] and {len(y) for y in outputs} == {600}


def test_boxes_of_a_batch_norm_free_head_in_one_call():
    net = quantized(Beside(bbox_head('Shared2FCBBoxHead')), [(boxes(3),)])
    expected = net(boxes(6))
    use_backend(net, 'reference')
    assert same(net(boxes(6)), expected)
