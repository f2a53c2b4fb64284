"""The metafiles: in mim's schema, and of one mind with the configs."""

import re
from pathlib import Path

import pytest
import yaml
from shipped import ROOT, load

from iptq_mm.engine.zoo import UnknownNameError, find, how_to_get, public_checkpoints
from iptq_mm.engine.zoo.metafiles import file_name
from iptq_mm.models.converters import CONVERTERS

ALL = public_checkpoints()
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
TOOLS = {path.stem for path in (ROOT / 'tools/model_converters').glob('*.py')}


@pytest.mark.parametrize('one', ALL, ids=lambda one: one.name)
def test_checkpoints_are_described_completely(one):
    assert one.url.startswith('https://')
    assert one.converter in CONVERTERS if one.target else not one.converter
    assert re.fullmatch('[0-9a-f]*', one.sha256)
    named = re.search('-([0-9a-f]{8})\\.pth$', one.url)
    assert one.sha256 == (named[1] if named else '')
    # Several addresses with one target would be several truths.
    others = [x for x in ALL if x is not one and (x.target or x.url) == one.target]
    assert not others


def test_converters_are_tools():
    assert set(CONVERTERS) == TOOLS


@pytest.mark.slow
@pytest.mark.parametrize('one', ALL, ids=lambda one: one.name)
def test_configs_look_where_checkpoints_go(one):
    for _, config in {one.configs[0], one.configs[-1]}:
        assert one.is_meant_by(load(config.removeprefix('configs/')).load_from)


@pytest.mark.parametrize('name', INDEX)
def test_schema_of_mim(name):
    content = yaml.safe_load((ROOT / name).read_text())
    collections = {c['Name'] for c in content['Collections']}
    for model in content['Models']:
        assert model['In Collection'] in collections
        assert (ROOT / model['Config']).is_file()
        assert isinstance(model['Weights'], str)
        assert not {'Weights', 'Metrics'} & set(model['Metadata']['Float Model'])
        for result in model['Results']:
            assert set(result) == {'Task', 'Dataset', 'Metrics'}
            for metric, value in result['Metrics'].items():
                assert metric.startswith('Float ') and isinstance(value, float)


def test_names_of_files():
    hub = 'https://hub.co/timm/vit.x/resolve/main/'
    assert file_name(f'{hub}pytorch_model.bin') == 'vit.x.bin'
    assert file_name(f'{hub}other.bin?download=true') == 'other.bin'
    assert file_name('https://a.b/c/model.pth') == 'model.pth'


@pytest.mark.parametrize(
    'name',
    [
        'deit-tiny_w8a8_in1k',
        'deit-tiny_iptq-w4a8_in1k',
        'configs/deit/deit-tiny_w8a8_in1k.py',
        'deit-tiny_3rdparty_in1k',
        'checkpoints/deit-tiny_3rdparty_in1k.pth',
        'deit_tiny_patch16_224-a1311bcf.pth',
    ],
)
def test_names(name):
    assert find(name).target == 'checkpoints/deit-tiny_3rdparty_in1k.pth'


@pytest.mark.slow
def test_names_of_configs(tmp_path):
    assert find('swin_cascade').file_name == (
        'cascade_mask_rcnn_swin_tiny_patch4_window7.pth'
    )
    mine = tmp_path / 'mine.py'
    base = ROOT / 'configs/mask_rcnn/mask-rcnn_swin-s_w8a8_coco.py'
    mine.write_text(f'_base_ = {str(base)!r}')
    assert find(str(mine)).sha256 == 'b92c91f1'
    mine.write_text("load_from = 'mine.pth'")
    with pytest.raises(UnknownNameError, match='from mine.pth, which is no public'):
        find(str(mine))


def test_unknown_names():
    with pytest.raises(UnknownNameError, match='did you mean .*deit-tiny_w8a8_in1k'):
        find('deit-tiny_w8a8_in1')
    with pytest.raises(UnknownNameError, match='did you mean swin_cascade'):
        find('swin_cascad')
    with pytest.raises(UnknownNameError, match="no checkpoint 'zzz'; --list shows"):
        find('zzz')


def test_what_to_do_about_a_missing_one():
    one = find('vit-small_w8a8_in1k')
    said = how_to_get(one.target, 'configs/papers/x/vit-small_mixed-w4a8_in1k.py')
    assert said == (
        "'python tools/get_checkpoint.py vit-small_mixed-w4a8_in1k' fetches it and "
        f'converts it (from {one.url})'
    )
    assert 'vit-small_w8a8_in1k' in how_to_get(f'./{one.target}', 'mine.py')
    swin = find('swin-tiny_w8a8_in1k')
    assert 'fetches it (from' in how_to_get(swin.url)
    assert how_to_get('mine.pth') == how_to_get('https://a/b.pth') == ''


def test_links_for_mim():
    """A checkout is as good as an installation: mm finds configs in ``.mim``."""
    for name in ('configs', 'tools', 'model-index.yml'):
        link = ROOT / 'iptq_mm/.mim' / name
        assert link.resolve() == (ROOT / name).resolve()
        assert not Path(link.readlink()).is_absolute()
