"""Checkpoints that users name by mistake: each tool says what they are."""

import sys
import types
from pathlib import Path

import pytest
import scripts
import torch

TOOLS = Path(__file__).parents[2] / 'tools'
TOOL = TOOLS / 'quantize.py'

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def said(tool, vit_run):
    """What tools/quantize.py says to a checkpoint of the tiny ViT."""

    def run(checkpoint, *options):
        ran = tool(vit_run.config, checkpoint, *options)
        assert ran.code == 1 and not list(Path().rglob('plan.json'))
        assert str(checkpoint) in ran.mistake or 'in the checkpoint' in ran.mistake
        return ran.mistake

    return run


def truncated(source):
    return Path(source).read_bytes()[:20_000]


FILES = {
    'page.pth': (b'\n<!DOCTYPE html><html>404</html>', 'is a web page'),
    'error.pth': (b'{"message": "Not Found"}', 'is JSON'),
    'lfs.pth': (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
    'empty.pth': (b'', 'is an empty file'),
    'noise.pth': (b'\x07\x08' * 50, 'cannot be loaded: UnpicklingError'),
    'weights.safetensors': (b'\x10\0\0\0\0\0\0\0{}', 'tools/model_converters'),
}


@pytest.mark.parametrize('name', FILES)
def test_files_that_are_none(said, name):
    content, message = FILES[name]
    Path(name).write_bytes(content)
    assert message in said(name)


def test_a_part_of_a_file(said, vit_run):
    Path('part.pth').write_bytes(truncated(vit_run.checkpoint))
    assert 'part.pth is incomplete: download it again' in said('part.pth')


def test_a_whole_model_of_code_that_is_not_here(said, monkeypatch):
    gone = types.ModuleType('gone')
    monkeypatch.setitem(sys.modules, 'gone', gone)
    gone.Model = type('Model', (torch.nn.Linear,), {'__module__': 'gone'})
    torch.save(gone.Model(2, 3), 'model.pth')
    monkeypatch.delitem(sys.modules, 'gone')
    message = said('model.pth')
    assert 'model.pth cannot be loaded: ModuleNotFoundError' in message
    assert "No module named 'gone'" in message


def changed(run, change):
    state = torch.load(run.checkpoint, weights_only=True)['state_dict']
    torch.save(change(state), 'changed.pth')
    return 'changed.pth'


def test_weights_where_mm_does_not_look(tool, vit_run):
    def said(change):
        ran = tool(vit_run.config, changed(vit_run, change))
        assert ran.code == 1
        return ran.mistake

    message = said(lambda state: {'model': state, 'epoch': 3})
    assert "no weights under 'state_dict'" in message and "['model']" in message
    assert 'no weights by name but a list' in said(lambda state: list(state.values()))
    assert "no weights under 'state_dict'" in said(lambda state: {'state_dict': {}})


def test_averaged_weights_beside_the_others(tool, vit_run):
    """EMAHook of mm swaps them: those under the usual name are the averaged ones."""
    other = changed(
        vit_run, lambda s: {'state_dict': s, 'ema_state_dict': {'steps': s}}
    )
    options = ['--cfg-options', 'quantization.regions=[backbone]']
    assert tool(vit_run.config, other, *options).code == 0


@pytest.mark.parametrize('regions', ['backbone', 'backbone,head'])
def test_another_number_of_classes(tool, vit_run, regions):
    def five_classes(state):
        for name in ('head.layers.head.weight', 'head.layers.head.bias'):
            state[name] = torch.cat([state[name], state[name][:2]])
        return {'state_dict': state}

    ran = tool(
        vit_run.config,
        changed(vit_run, five_classes),
        '--cfg-options',
        f'quantization.regions=[{regions}]',
    )
    assert ran.code == 1
    assert "'head.layers.head.weight' is (5, 128) in the checkpoint and (3, 128)" in (
        ran.mistake
    )
    assert 'set num_classes' in ran.mistake


@pytest.mark.parametrize(
    'name', ['export', 'check_backends', 'audit', 'study_criteria']
)
@pytest.mark.parametrize('kind', ['page', 'part'])
def test_other_tools(vit_run, monkeypatch, capsys, tmp_path, name, kind):
    monkeypatch.chdir(tmp_path)
    tool = scripts.runner(scripts.as_module(TOOLS / f'{name}.py'), monkeypatch, capsys)
    whole = vit_run.folder / 'integer.pth'
    content = b'<html>' if kind == 'page' else truncated(whole)
    Path('wrong.pth').write_bytes(content)
    config = (
        vit_run.config if name == 'study_criteria' else vit_run.folder / 'integer.py'
    )
    ran = tool(config, 'wrong.pth', *(['--out', 'x.program'] * (name == 'export')))
    assert ran.code == (2 if name == 'audit' else 1)
    expected = {'page': 'is a web page', 'part': 'is incomplete'}[kind]
    assert f'the checkpoint wrong.pth {expected}' in ran.mistake
    assert not Path('x.program').exists()
