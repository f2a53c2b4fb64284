"""Programs on disk, and as text."""

import pytest
import torch
from program_cases import equal, integers, swin_program, vit_program

from iptq_mm.program import ProgramError, load_program, run, save_program
from iptq_mm.program.store import to_dict


@pytest.mark.parametrize('make', [vit_program, swin_program])
def test_what_is_saved_comes_back(make, tmp_path):
    program = make()
    save_program(program, tmp_path / 'a.program')
    again = load_program(tmp_path / 'a.program')
    assert again.nodes == program.nodes and again.values == program.values
    assert (again.inputs, again.outputs) == (program.inputs, program.outputs)
    assert str(again) == str(program)
    x = integers(program)
    assert equal(run(program, x), run(again, x))
    assert [p.name for p in tmp_path.iterdir()] == ['a.program']


def _damaged(change):
    data = to_dict(vit_program())
    change(data)
    return data


DAMAGE = {
    'another version': (lambda d: d.update(version=99), 'version 99'),
    'no nodes': (lambda d: d.pop('nodes'), 'not a program'),
    'a missing field': (lambda d: d.pop('region'), 'region'),
    'a missing tensor': (
        lambda d: d.update(tensors={}),
        "takes '.*', which is missing",
    ),
    'a missing node': (
        lambda d: d.update(nodes=d['nodes'][1:]),
        'which is not made yet',
    ),
    'a node twice': (
        lambda d: d.update(nodes=d['nodes'][:1] * 2),
        'makes it again',
    ),
    'too narrow a type': (
        lambda d: d['values'][1].update(dtype='int8'),
        'is kept as torch.int8',
    ),
    'floats': (
        lambda d: d.update(tensors={k: v.float() for k, v in d['tensors'].items()}),
        'holds torch.float32',
    ),
    'an unknown type': (lambda d: d['values'][1].update(dtype='float32'), 'float32'),
}


@pytest.mark.parametrize('name', DAMAGE)
def test_damage_is_found(name, tmp_path):
    change, message = DAMAGE[name]
    torch.save(_damaged(change), tmp_path / 'bad')
    with pytest.raises(ProgramError, match=message):
        load_program(tmp_path / 'bad')


def test_other_files_are_no_programs(tmp_path):
    (tmp_path / 'x').write_text('hello')
    with pytest.raises(ProgramError, match='not a program'):
        load_program(tmp_path / 'x')
    with pytest.raises(FileNotFoundError):
        load_program(tmp_path / 'none')
