"""Constants of programs, of which equal ones are kept once."""

from weakref import WeakValueDictionary

import pytest
import torch

from iptq_mm.program.tracing.recorder import Recorder


@pytest.mark.parametrize('dtype', [torch.int8, torch.int16, torch.int64])
@pytest.mark.parametrize('size', [0, 1, 7, 8, 9, 64])
def test_equal_tensors_have_one_name(dtype, size):
    recorder = Recorder()
    tensor = torch.arange(size).to(dtype)
    name = recorder.tensor(tensor, 'a')
    assert recorder.tensor(tensor.clone(), 'b') == name == 'a'
    assert recorder.tensor(tensor[None], 'a') == 'a#2'  # another shape
    spread = torch.stack([tensor, tensor], 1)[:, 0]  # the same, not side by side
    assert recorder.tensor(spread, 'c') == 'a'


def test_tensors_of_one_sum_are_not_taken_for_each_other():
    recorder = Recorder()
    first = torch.arange(32, dtype=torch.int8)
    others = [first.view(4, 8).flip(0).flatten(), first.view(4, 8).roll(1, 0).flatten()]
    names = [recorder.tensor(t, 'w') for t in (first, *others, others[0], first)]
    assert names == ['w', 'w#2', 'w#3', 'w#2', 'w']


def test_programs_share_tensors():
    pool = WeakValueDictionary()
    tensor = torch.arange(24, dtype=torch.int8)

    def recorded(value):
        recorder = Recorder(pool)
        recorder.tensor(value, 'w')
        return recorder, recorder._tensors['w']

    first, mine = recorded(tensor)
    second, same = recorded(tensor)
    assert mine is same and mine is not tensor
    tensor.neg_()  # a parameter that training changes
    third, other = recorded(tensor)
    assert torch.equal(other, tensor) and torch.equal(mine, -tensor)
    mine[0] = 5  # nobody should, and nobody gets it as an equal one
    _, again = recorded(-tensor)
    assert torch.equal(again, -tensor)
