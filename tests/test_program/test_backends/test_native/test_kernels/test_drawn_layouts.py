"""The examples of ``panels.h`` and ``epilogue.inl`` are what weights are packed to."""

import pytest
import torch

from iptq_mm.program.backends.native.kernels.weights import channel_constants, pack


@pytest.mark.parametrize('bits', [8, 4])
def test_a_weight_is_where_the_drawing_says(bits):
    n, k, width = 40, 8, 3  # three vectors, one panel
    most = 2 ** (bits - 1) - 1
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-most, most + 1, (n, 1, k), generator=generator).to(
        torch.int8
    )
    packed = pack(weight)
    assert (packed.bits, packed.width) == (bits, width)
    data = packed.data
    for c in range(n):
        for d in range(k):
            at = (d // 4 * 16 * width + c) * 4 + d % 4
            if bits == 8:
                code = int(data[at].view(torch.int8))
            else:
                half = int(data[at // 2]) >> 4 * (at % 2) & 15
                code = half - 16 * (half > 7)
            assert code == int(weight[c, 0, d])


def test_the_quick_form_of_the_example():
    acc, multiplier, shift, offset, z = -123, 1717986918, 31, 2**30, 128
    one = (torch.tensor([x]) for x in (multiplier, offset, shift, abs(acc)))
    made = channel_constants(*one, (-128, 127), z)
    up, rest = int(made.up[0]), int(made.shift[0])
    assert made.quick and (up, rest) == (1, 0)
    assert int(made.offset[0]) == 551903297536
    high = (acc << up) * multiplier + int(made.offset[0]) >> 32
    assert high >> rest == 30 and (made.low, made.high) == (0, 255)
