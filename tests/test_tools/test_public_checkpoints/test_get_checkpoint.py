"""tools/get_checkpoint.py: what it fetches, and what it says to mistakes."""

from pathlib import Path

import public_files
import pytest
import torch

TOOL = Path(__file__).parents[3] / 'tools/get_checkpoint.py'


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder with ViT-S and Swin-T, much smaller, under their public names."""
    folder = tmp_path / 'mirror'
    folder.mkdir()
    vit = {
        'cls_token': torch.zeros(1, 1, 4),
        'pos_embed': torch.zeros(1, 5, 4),
        'patch_embed.proj.weight': torch.zeros(4, 3, 2, 2),
        'head.weight': torch.ones(3, 4),
    }
    torch.save(vit, folder / 'vit_small_patch16_224.augreg_in21k_ft_in1k.bin')
    torch.save(vit, folder / 'swin_tiny_patch4_window7_224-160bb0a5.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return folder


def test_list(tool):
    said = tool('--list').out
    assert 'vit-small-p16_timm-augreg_in1k\n    from https://huggingface.co/' in said
    assert 'converted by swin_detector_to_mmdet to checkpoints/cascade_mask' in said
    assert 'for configs/deit/deit-tiny_w8a8_in1k.py and ' in said


def test_fetches_and_converts(tool, mirror, tmp_path):
    names = ['vit-small_w8a8_in1k', 'vit-small-p16_timm-augreg_in1k']
    ran = tool(*names, '--mirror', mirror)
    assert ran.code == 0
    path = 'checkpoints/vit-small-p16_timm-augreg_in1k.pth'
    config = 'configs/vit/vit-small_w8a8_in1k.py'
    assert f'\n{path}: python tools/quantize.py {config}\n' in ran.out
    state = torch.load(tmp_path / path, weights_only=True)['state_dict']
    assert state['head.layers.head.weight'].equal(torch.ones(3, 4))
    # Both names mean the same checkpoint.
    assert ran.out.count('SHA-256') == 1
    assert 'is there' in tool(names[1], '--mirror', mirror).out
    there = tmp_path / 'there'
    ran = tool(*names, '--mirror', mirror.as_uri(), '--dest', there, '--keep')
    assert f'{config} {there / Path(path).name}\n' in ran.out
    assert len(list(there.iterdir())) == 2


def test_wrong_checksum(tool, mirror, tmp_path):
    arguments = ['swin-tiny_w8a8_in1k', '--mirror', mirror]
    said = tool(*arguments).mistake
    assert '160bb0a5 is the beginning of the right one' in said
    assert not list((tmp_path / 'torch').rglob('*.*'))
    assert tool(*arguments, '--any-checksum').code == 0
    (found,) = (tmp_path / 'torch').rglob('*.pth')
    assert found.name == 'swin_tiny_patch4_window7_224-160bb0a5.pth'


def test_mistakes(tool, mirror, tmp_path):
    # Before anything is fetched.
    said = tool('vit-small_w8a8_in1k', 'swin_cascad', '--mirror', mirror).mistake
    assert 'did you mean swin_cascade' in said and not Path('checkpoints').exists()
    said = tool('vit-base_w8a8_in1k', '--mirror', mirror).mistake
    assert 'there is no file' in said and 'Other ways: --mirror' in said
    file = mirror / 'vit_base_patch16_224.augreg_in21k_ft_in1k.bin'
    file.write_text('<html>moved</html>')
    said = tool('vit-base_w8a8_in1k', '--mirror', mirror).mistake
    assert f'what {file.as_uri()} gave is a web page' in said
    file.write_bytes(b'nothing that is known')
    said = tool('vit-base_w8a8_in1k', '--mirror', mirror).mistake
    assert 'is not a checkpoint of torch' in said
    with pytest.raises(SystemExit):
        tool()


def test_no_network(tool, monkeypatch):
    """The proxy of the environment is asked; here, nobody answers."""
    monkeypatch.delenv('no_proxy', raising=False)
    monkeypatch.delenv('NO_PROXY', raising=False)
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')
    said = tool('deit-tiny_w8a8_in1k').mistake
    assert 'dl.fbaipublicfiles.com gives no answer: ' in said
    assert 'put it at checkpoints/deit_tiny_patch16_224-a1311bcf.pth' in said


def test_names_of_timm_are_those_of_the_converter():
    from iptq_mm.models.converters import convert_vit

    names = ['cls_token', 'pos_embed', 'patch_embed.projection.weight', 'ln1.bias']
    names += ['layers.3.ln2.weight', 'layers.3.attn.qkv.bias']
    names += ['layers.3.ffn.layers.0.0.weight', 'layers.3.ffn.layers.1.bias']
    state = {f'backbone.{name}': torch.zeros(1, 5, 1) for name in names}
    state['head.layers.head.weight'] = torch.zeros(1)
    assert set(convert_vit(public_files.timm_names(state))) == set(state)
