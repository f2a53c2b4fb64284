"""Programs on disk, and as text."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from program_cases import LONE, equal, integers, swin_program, vit_program

from iptq_mm.pixels import Pixels
from iptq_mm.program import ProgramError, load_program, run, save_program
from iptq_mm.program.ir.image_format import ImageFormat
from iptq_mm.program.ir.store import from_dict, to_dict


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


PIXELS = Pixels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def test_what_images_enter_is_kept(tmp_path):
    image = ImageFormat('RGB', PIXELS.mean, PIXELS.std)
    for pixels in (None, PIXELS, replace(PIXELS, marked=True)):
        program = vit_program()
        port = replace(program.inputs[0], pixels=pixels, image=image)
        save_program(replace(program, inputs=[port]), tmp_path / 'p')
        assert load_program(tmp_path / 'p').inputs == [port]


@pytest.mark.parametrize('pixels', [None, PIXELS])
def test_files_of_version_2_can_be_read(pixels, tmp_path):
    """Their ports have no ``image``, and their pixels no ``marked``."""
    program = vit_program()
    data = {**to_dict(program), 'version': 2}
    scale = program.inputs[0].scale
    old = pixels and {'mean': PIXELS.mean, 'std': PIXELS.std}
    data['inputs'] = [{'value': 0, 'scale': scale, 'pixels': old}]
    data['outputs'] = [
        {'value': p.value, 'scale': p.scale, 'pixels': None} for p in program.outputs
    ]
    torch.save(data, tmp_path / 'old')
    again = load_program(tmp_path / 'old')
    assert again.inputs == [replace(program.inputs[0], pixels=pixels)]
    assert again.outputs == program.outputs and again.nodes == program.nodes
    x = integers(program)
    assert equal(run(program, x), run(again, x))
    torch.save({**data, 'version': 1}, tmp_path / 'older')
    with pytest.raises(ProgramError, match=r'version 1 .*\(it reads 2 to 7\)'):
        load_program(tmp_path / 'older')


@pytest.mark.parametrize('version', [4, 5])
def test_files_of_version_4_and_5_can_be_read(version):
    """They have no nodes ``to_levels``, or no packed tensors; all else is as now."""
    program = vit_program()
    data = {**to_dict(program), 'version': version, 'tensors': program.tensors}
    again = from_dict(data)
    assert again.nodes == program.nodes and again.inputs == program.inputs
    levels = LONE['to_levels']()
    assert from_dict(to_dict(levels)).nodes == levels.nodes
    assert to_dict(levels)['version'] == 7


def test_files_of_version_3_can_be_read():
    """Their kinds ``shifted`` and ``amplify`` are ``add_constant``, ``shift_channels``.

    The file was written by the last iptq_mm that wrote version 3.
    """
    path = Path(__file__).parent / 'files/version_3.program'
    assert torch.load(path, weights_only=True)['version'] == 3
    program = load_program(path)
    kinds = 'shift_channels', 'add_constant', 'add_constant', 'negate', 'requantize'
    assert tuple(node.kind for node in program.nodes) == kinds
    (x,) = integers(program)
    requantized, wide = run(program, [x])
    q = x.long() << torch.tensor([0, 3, 1, 2])
    assert torch.equal(wide.long(), q)
    q = -((q + torch.tensor([5, -6, 7, 400])).clamp(min=-1000) + 3)
    q = (q * 12345678 + 2**25 >> 26).clamp(-128, 127)
    assert torch.equal(requantized.long(), q)
    assert to_dict(program)['version'] > 3
