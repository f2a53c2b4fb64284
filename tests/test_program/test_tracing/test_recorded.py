"""Recorded tensors: what may be done with them is taken down, the rest refused."""

import pytest
import torch

from iptq_mm.program.backends.reference import run
from iptq_mm.program.ir.graph import Port
from iptq_mm.program.tracing.recorded import Recorded
from iptq_mm.program.tracing.recorder import Recorder
from iptq_mm.qtensor import UnsupportedOperationError


def start(*shape: int) -> tuple[Recorder, torch.Tensor, Recorded]:
    recorder = Recorder()
    number = recorder.input(shape or (2, 6), -100, 100, 1.0)
    x = torch.arange(12).view(shape or (2, 6)).to(torch.int8)
    return recorder, x, Recorded.wrap(x.clone(), recorder, number)


COMPUTATIONS = {
    'negated': lambda x: -x.short(),
    'plus a number': lambda x: x.short() + 7,
    'minus a tensor': lambda x: x.short() - torch.tensor([[3], [-200]]),
    'clamped': lambda x: x.clamp(2, 8),
    'clamped on one side': lambda x: x.clamp(min=5),
    'masked': lambda x: (x.long() - torch.arange(6) * 1000).clamp_(-2500, 90).int(),
    'clamped twice': lambda x: (x.long() + 3).clamp(-5, 9).clamp(0, 50),
    'shifted channels': lambda x: x.short() << torch.tensor([0, 1, 2, 3, 0, 1]),
    'in place': lambda x: x.clone().int().add_(5).neg_(),
    'viewed': lambda x: x.mT.flatten()[3:].view(3, 3).roll(1, 0),
    'as it was': lambda x: x.contiguous().detach().clone(),
}


@pytest.mark.parametrize('name', COMPUTATIONS)
def test_computations(name):
    recorder, x, recorded = start()
    expected, made = COMPUTATIONS[name](x), COMPUTATIONS[name](recorded)
    assert made.plain.is_meta and made.device == expected.device
    assert (made.shape, made.dtype) == (expected.shape, expected.dtype)
    program = recorder.finish('some', [Port(made.number, 1.0)])
    (result,) = run(program, [x])
    assert torch.equal(result.long(), expected.long())


def test_clamps_are_part_of_the_sum():
    recorder, _, x = start()
    made = (x.long() + torch.tensor([5])).clamp_(-50, 50)
    program = recorder.finish('some', [Port(made.number, 1.0)])
    assert [node.kind for node in program.nodes] == ['add_constant']
    assert program.values[1].low == -50


REFUSED = {
    'item': lambda x: x[0, 0].item(),
    'bool': lambda x: bool(x[0, 0] > 0),
    'a decision': lambda x: 1 if x[0, 0] else 2,
    'a number': lambda x: int(x[0, 0]),
    'a list': lambda x: x.tolist(),
    'arrays': lambda x: x.numpy(),
    'float': lambda x: x.float(),
    'too narrow': lambda x: (x.short() + 500).to(torch.int8),
    'a comparison': lambda x: x == 3,
    'a sum of two': lambda x: x + x,
    'an unknown function': lambda x: torch.cumsum(x, 0),
    'an index': lambda x: torch.arange(100)[x.long()],
    'set': lambda x: x.__setitem__(0, 1),
    'in place on a view': lambda x: x[0].clamp_(0, 3),
    'in place under a view': lambda x: (x.view(12), x.clamp_(0, 3)),
    'an infinite sum': lambda x: x + 0.5,
}


@pytest.mark.parametrize('name', REFUSED)
def test_refused(name):
    _, _, x = start()
    with pytest.raises(UnsupportedOperationError):
        REFUSED[name](x)


def test_errors_say_what_to_do():
    _, _, x = start()
    with pytest.raises(UnsupportedOperationError, match=r'cumsum.*; run this model in'):
        torch.cumsum(x, 0)
    with pytest.raises(UnsupportedOperationError, match='int8, which .*; .* a wider'):
        (x.short() + 500).to(torch.int8)
    with pytest.raises(ValueError, match=r'clamp to 300\.\. of .*no integer: clamp to'):
        x.short().clamp(min=300)


def test_metadata_is_free():
    recorder, plain, x = start()
    assert (x.shape, x.dim(), x.stride()) == (plain.shape, 2, plain.stride())
    assert x.dtype == torch.int8 and len(x) == 2 and not x.is_floating_point()
    assert x.device == plain.device and not x.is_cuda and x.get_device() == -1
    for new in (torch.zeros_like(x), x.new_zeros(3)):
        assert type(new) is torch.Tensor and not new.is_meta and not new.any()
    assert recorder.nodes == []


@pytest.mark.parametrize('dtype', [torch.int8, torch.int16, torch.int64])
def test_constants_of_one_element_may_have_any_stride(dtype):
    recorder, table = Recorder(), torch.arange(128, dtype=dtype).view(2, 64)
    part = table[1:, 0]
    assert part.stride() == (64,) and part.is_contiguous()
    assert recorder.tensor(part, 'part') == recorder.tensor(part.clone(), 'again')
