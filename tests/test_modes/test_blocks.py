"""Large tensors, worked through in blocks, give what they give at once."""

import pytest
import torch

from iptq_mm.modes import blocks
from iptq_mm.modes.blocks import in_blocks

LARGE = 3 * blocks.BLOCK


def compute(kind):
    def run(operands):
        calls.append(operands[0].shape)
        a, b = operands[0], operands[1] if len(operands) > 1 else None
        if kind == 'linear':
            return a @ b.T
        if kind in ('softmax', 'layer_norm', 'gelu'):
            return a - a.amax(-1, keepdim=True)
        return a @ b if kind == 'matmul' else a + 2 * b

    calls = []
    run.calls = calls
    return run


def integers(*shape):
    return torch.randint(-100, 100, shape)


@pytest.mark.parametrize(
    ('kind', 'operands', 'cut'),
    [
        ('linear', [integers(2, LARGE // 64, 32), integers(5, 32)], True),
        ('softmax', [integers(3, LARGE // 200, 100)], True),
        ('softmax', [integers(1, LARGE)], False),
        ('gelu', [integers(LARGE)], False),
        ('add', [integers(7, LARGE // 7), integers(7, LARGE // 7)], True),
        ('add', [integers(7, LARGE // 7), integers(1, LARGE // 7)], False),
        ('matmul', [integers(9, 2, 400, 64), integers(9, 2, 64, 500)], True),
        ('matmul', [integers(9, 2, 400, 64), integers(1, 2, 64, 500)], False),
        ('matmul', [integers(900, 200), integers(200, 30)], False),
        ('matmul', [integers(5, 6), integers(6, 7)], False),
        ('mean', [integers(4, LARGE // 4), integers(4, 1)], False),
    ],
)
def test_same_as_at_once(kind, operands, cut):
    whole, parts = compute(kind), compute(kind)
    assert torch.equal(in_blocks(kind, operands, parts), whole(operands))
    assert (len(parts.calls) > 1) == cut


def test_noncontiguous_operands():
    a, b = integers(LARGE // 16, 4, 4), integers(4, LARGE // 16, 4)
    run = compute('add')
    out = in_blocks('add', [a.transpose(0, 1), b], run)
    assert torch.equal(out, a.transpose(0, 1) + 2 * b)
    assert len(run.calls) > 1
