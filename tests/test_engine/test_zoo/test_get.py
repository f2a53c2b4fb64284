"""A public checkpoint where configs look for it, converted if it has to be."""

import hashlib
import shutil
from collections import namedtuple

import pytest
import torch

from iptq_mm.engine.zoo import (
    ChecksumError,
    MissingError,
    NoSpaceError,
    PublicCheckpoint,
    get,
)
from iptq_mm.engine.zoo.mirrors import addresses
from iptq_mm.models.converters import ConversionError

URL = 'https://public.org/some/folder/timm_vit.pth'
TARGET = 'checkpoints/vit_mm.pth'


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder with the public file, in which the test does not run."""
    folder = tmp_path / 'mirror'
    folder.mkdir()
    state = {
        'cls_token': torch.zeros(1, 1, 4),
        'pos_embed': torch.zeros(1, 5, 4),
        'patch_embed.proj.weight': torch.zeros(4, 3, 2, 2),
        'head.weight': torch.ones(3, 4),
    }
    torch.save(state, folder / 'timm_vit.pth')
    here = tmp_path / 'here'
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return folder


@pytest.fixture
def digest(mirror):
    return hashlib.sha256((mirror / 'timm_vit.pth').read_bytes()).hexdigest()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def fetch(mirror, lines):
    """Gets the checkpoint from the mirror."""

    def run(sha256='', converter='vit_to_mmpretrain', target=TARGET, **options):
        one = PublicCheckpoint(URL, sha256, converter, target)
        options = dict(mirrors=[str(mirror)], say=lines.append) | options
        return get(one, **options)

    return run


def names(path):
    return sorted(p.name for p in path.parent.iterdir())


def test_converted(fetch, lines, digest):
    path = fetch(sha256=digest[:8])
    assert str(path) == TARGET and names(path) == ['vit_mm.pth']
    state = torch.load(path, weights_only=True)['state_dict']
    assert state['head.layers.head.weight'].equal(torch.ones(3, 4))
    assert any(f'SHA-256 {digest}, as expected' in line for line in lines)
    before = path.stat().st_mtime_ns
    fetch()
    assert lines[-1] == f'{TARGET} is there' and path.stat().st_mtime_ns == before
    fetch(force=True, keep=True)
    assert path.stat().st_mtime_ns > before
    assert names(path) == ['timm_vit.pth', 'vit_mm.pth']


def test_as_it_is(fetch, tmp_path, mirror):
    """Where the config names an address, the file goes where mmengine looks."""
    path = fetch(converter='', target='')
    assert path == tmp_path / 'torch/hub/checkpoints/timm_vit.pth'
    assert path.read_bytes() == (mirror / 'timm_vit.pth').read_bytes()
    assert names(path) == ['timm_vit.pth']


def test_mmengine_finds_it(fetch):
    from mmengine.runner.checkpoint import CheckpointLoader

    fetch(converter='', target='')
    assert 'cls_token' in CheckpointLoader.load_checkpoint(URL, map_location='cpu')


def test_folder(fetch, tmp_path):
    assert fetch(folder=str(tmp_path / 'there')) == tmp_path / 'there/vit_mm.pth'


def test_a_file_that_somebody_put_there(fetch, mirror, tmp_path):
    shutil.copytree(mirror, 'checkpoints')
    path = fetch(mirrors=[str(tmp_path / 'none')])
    # What was not fetched is not deleted.
    assert names(path) == ['timm_vit.pth', 'vit_mm.pth']


def test_checksums(fetch, mirror, lines):
    with pytest.raises(ChecksumError, match='--any-checksum.*Other ways: --mirror'):
        fetch(sha256='0' * 8)
    fetch(sha256='0' * 8, any_checksum=True)
    assert any('not compared with a known one' in line for line in lines)


def test_a_wrong_file_that_is_there(fetch):
    path = fetch(converter='', target='')
    with pytest.raises(ChecksumError, match='earlier download.*--force fetches it'):
        fetch(sha256='0' * 8, converter='', target='')
    path.write_bytes(b'<html>')
    with pytest.raises(ValueError, match='is a web page.*--force'):
        fetch(converter='', target='')
    fetch(converter='', target='', force=True)
    assert path.read_bytes() != b'<html>'


def test_missing_everywhere(fetch, tmp_path):
    with pytest.raises(MissingError) as said:
        fetch(mirrors=[str(tmp_path / 'none'), 'file:///nowhere'])
    message = str(said.value)
    assert str(tmp_path / 'none/public.org/some/folder/timm_vit.pth') in message
    assert 'there is no file /nowhere/timm_vit.pth' in message
    assert f'fetch {URL} with something else' in message
    assert 'put it at checkpoints/timm_vit.pth and call this again' in message


def test_what_cannot_be_converted(fetch, mirror):
    torch.save({'a': torch.zeros(1)}, mirror / 'timm_vit.pth')
    with pytest.raises(ConversionError, match='timm_vit.pth: This is not a ViT'):
        fetch()


def test_no_space_for_the_converted(fetch, mirror, monkeypatch):
    shutil.copytree(mirror, 'checkpoints')
    usage = namedtuple('Usage', 'free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(1000))
    with pytest.raises(NoSpaceError, match='has room for 0.0 MB'):
        fetch()


@pytest.mark.parametrize(
    'place', ['public.org/some/folder/timm_vit.pth', 'some/folder/timm_vit.pth', '']
)
def test_forms_of_mirrors(fetch, mirror, tmp_path, place):
    target = tmp_path / 'other' / (place or 'timm_vit.pth')
    target.parent.mkdir(parents=True)
    shutil.move(mirror / 'timm_vit.pth', target)
    assert fetch(mirrors=[(tmp_path / 'other').as_uri() + '/']).is_file()


def test_addresses():
    assert list(addresses(URL, [])) == [URL]
    hub = 'https://hub.co/timm/vit.x/resolve/main/pytorch_model.bin'
    assert list(addresses(hub, ['https://mirror', 'file:///m/'])) == [
        'https://mirror/hub.co/timm/vit.x/resolve/main/pytorch_model.bin',
        'https://mirror/timm/vit.x/resolve/main/pytorch_model.bin',
        'https://mirror/vit.x.bin',
        'file:///m/hub.co/timm/vit.x/resolve/main/pytorch_model.bin',
        'file:///m/timm/vit.x/resolve/main/pytorch_model.bin',
        'file:///m/vit.x.bin',
    ]
