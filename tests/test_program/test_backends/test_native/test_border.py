"""Floats to integers and back: torch's own, to the last bit."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import QParams
from iptq_mm.modes.shared_integers import share_integers, shared_integers_of
from iptq_mm.native import library
from iptq_mm.pixels import Pixels
from iptq_mm.program.backends.boundary import TORCH, quantized_inputs
from iptq_mm.program.backends.native.program import NativeProgram
from iptq_mm.program.ir.graph import Port, Program, Value

RANGES = [(-127, 127), (-100, 155), (-32767, 32767)]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_between_real_tensors(data):
    """What a native program makes of them is what torch makes."""
    low, high = data.draw(st.sampled_from(RANGES))
    scale = data.draw(st.floats(1e-6, 1e3))
    shape = data.draw(st.sampled_from([(1, 3, 4, 5), (2, 3, 40, 41)]))
    pixels = data.draw(st.booleans())
    if pixels:
        low, high, scale = -128, 127, 1.0
        channel = st.tuples(st.floats(-300, 300), st.floats(0.01, 300))
        mean, std = zip(*[data.draw(channel) for _ in range(3)], strict=True)
    value = Value.bounded(shape, low, high)
    port = Port(0, scale, Pixels(mean, std) if pixels else None)
    made = Program('', [value], [port], [Port(0, scale)], [], {})
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x = x * (200 if pixels else scale * high)
    reals = [x]
    if pixels:
        reals.append(torch.randint(0, 256, shape, dtype=torch.uint8))
    cases = [(real, quantized_inputs(made, [real], TORCH)[0]) for real in reals]
    if not pixels:  # floats that bring their integers along are not looked at
        q = cases[0][1]
        cases.append((share_integers(q * 0.0, q, QParams(scale, low, high)), q))
    previous = library.level()
    for name in library.levels():
        library.use_level(name)
        native = NativeProgram(made)
        for x, expected in cases:
            (real,) = native.run_real([x])
            assert torch.equal(shared_integers_of(real).integers, expected)
            assert torch.equal(real, expected.float() * scale)
            assert torch.equal(native.run([expected])[0], expected)
    library.use_level(previous)
