"""The arena: which buffers share memory."""

from hypothesis import given
from hypothesis import strategies as st

from iptq_mm.native.commands import SLACK, Copy
from iptq_mm.program.backends.native.layout.memory import ALIGNMENT, plan_memory
from iptq_mm.program.backends.native.layout.steps import Address, Buffer, Step


@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20),
    st.integers(0, 11),
)
def test_buffers_that_live_together_do_not_overlap(sizes, copies, pinned):
    buffers = [Buffer(size, i == pinned) for i, size in enumerate(sizes)]
    steps = [
        Step(Copy, {name: Address(buffers[i % len(sizes)]) for name, i in fields})
        for fields in (zip('ab', copy, strict=True) for copy in copies)
    ]
    offsets, total = plan_memory(steps, buffers[:1])
    used = {id(b): [] for b in buffers}
    for position, step in enumerate(steps):
        for address in step.fields.values():
            used[id(address.buffer)].append(position)
    assert buffers[0] in offsets  # of an input, whether it is used or not
    for one in offsets:
        assert offsets[one] % ALIGNMENT == 0
        assert offsets[one] + one.size + SLACK <= total
        for other in offsets:
            if one is other or not (used[id(one)] and used[id(other)]):
                continue
            lives = [
                (-1, len(steps)) if b.pinned else (min(used[id(b)]), max(used[id(b)]))
                for b in (one, other)
            ]
            together = lives[0][0] <= lives[1][1] and lives[1][0] <= lives[0][1]
            apart = offsets[one] + one.size + SLACK <= offsets[other] or (
                offsets[other] + other.size + SLACK <= offsets[one]
            )
            assert apart or not together


def test_a_chain_needs_two_buffers():
    """What a step reads is free after it."""
    buffers = [Buffer(1000) for _ in range(5)]
    steps = [
        Step(Copy, {'a': Address(a), 'out': Address(b)})
        for a, b in zip(buffers[:-1], buffers[1:], strict=True)
    ]
    offsets, _ = plan_memory(steps)
    assert len(set(offsets.values())) == 2
