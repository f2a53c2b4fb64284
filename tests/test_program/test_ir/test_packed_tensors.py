"""Weights of few bits in program files."""

import io
import pickle
from dataclasses import replace

import pytest
import torch
from program_cases import equal, integers, vit_program

from iptq_mm.intmath.weight_codes import most_code, most_factor
from iptq_mm.program import ProgramError, run
from iptq_mm.program.ir.packed_tensors import packed_tensor, unpacked_tensor
from iptq_mm.program.ir.store import from_dict, to_dict


def _weight(bits, group, shape=(24, 50)):
    generator = torch.Generator().manual_seed(bits + group)
    most = most_code(bits)
    codes = torch.randint(-most, most + 1, shape, generator=generator)
    codes.view(-1)[:2] = torch.tensor([-most, most])
    if group:
        groups = -(-shape[1] // group)
        factors = torch.randint(
            1, most_factor(bits) + 1, (shape[0], groups), generator=generator
        )
        factors[0, 0] = most_factor(bits)
        codes *= factors.repeat_interleave(group, 1)[:, : shape[1]]
    return codes.to(torch.int8)


@pytest.mark.parametrize('bits', range(2, 8))
@pytest.mark.parametrize('group', [0, 8, 16])
def test_bits_and_groups_are_found(bits, group):
    weight = _weight(bits, group)
    packed = packed_tensor(weight)
    assert (packed['bits'], packed['group']) == (bits, group)
    again = unpacked_tensor(packed)
    assert again.dtype == torch.int8 and torch.equal(again, weight)


@pytest.mark.parametrize(
    'tensor',
    [
        _weight(4, 0).to(torch.int16),
        _weight(4, 0).flatten(),
        _weight(4, 0, (3, 5)),
        torch.randint(-128, 128, (40, 40), dtype=torch.int8),
    ],
    ids=['wide', 'a table', 'small', '8 bits'],
)
def test_others_stay(tensor):
    assert packed_tensor(tensor) is tensor
    assert unpacked_tensor(tensor) is tensor


def test_a_program_with_packed_weights():
    program = vit_program()
    names = [n for n, t in program.tensors.items() if t.dim() == 2 and len(t) > 8]
    name = max(names, key=lambda n: program.tensors[n].numel())
    weight = program.tensors[name].clamp(-7, 7)
    assert weight.dtype == torch.int8 and weight.numel() >= 256
    program = replace(program, tensors={**program.tensors, name: weight})
    file = io.BytesIO()
    torch.save(to_dict(program), file)
    data = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    assert data['tensors'][name]['bits'] == 4
    x, again = integers(program), from_dict(data)
    assert equal(run(again, x), run(program, x))
    assert str(again) == str(program)
    with pytest.raises(KeyError):
        again.tensors['other']
    # In memory, it takes half a byte, however often it is looked up.
    assert torch.equal(again.tensors[name], weight)
    assert again.tensors[name] is not again.tensors[name]
    held = pickle.loads(pickle.dumps(again.tensors))
    assert list(held) == list(again.tensors) and len(held) == len(program.tensors)
    assert vars(held)['_data'][name]['packed'].numel() <= 1 + weight.numel() / 2
    data['tensors'][name]['packed'] = data['tensors'][name]['packed'][:-2]
    with pytest.raises(ProgramError, match='damaged'):
        from_dict(data)
