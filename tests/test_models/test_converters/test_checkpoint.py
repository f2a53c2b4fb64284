import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch

from iptq_mm.models.converters import (
    ConversionError,
    convert_file,
    load_state,
    save_state,
)

TOOLS = Path(__file__).parents[3] / 'tools' / 'model_converters'

STATE = {'a.weight': torch.arange(6.0), 'a.bias': torch.zeros(2)}


def _same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


@pytest.mark.parametrize(
    'content',
    [
        STATE,
        {'model': STATE},
        {'state_dict': STATE, 'meta': {'epoch': 3}, 'optimizer': {}},
        {'state_dict': {f'module.{key}': value for key, value in STATE.items()}},
    ],
    ids=['bare', 'model', 'state_dict', 'distributed'],
)
def test_wrappings_of_public_files(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    assert _same(load_state(tmp_path / 'a.pth'), STATE)


def test_code_in_a_file_is_not_run_unasked(tmp_path):
    content = {'state_dict': STATE, 'meta': {'lr': numpy.float64(0.1)}}
    path = tmp_path / 'old.pth'
    torch.save({**content, 'hook': _Unpickled()}, path)
    with pytest.raises(ConversionError, match='--trusted'):
        load_state(path)
    assert not _Unpickled.created
    assert _same(load_state(path, trusted=True), STATE)
    assert _Unpickled.created


class _Unpickled:
    created = False

    def __reduce__(self):
        return _unpickle, ()


def _unpickle():
    _Unpickled.created = True


def test_foreign_files_are_named(tmp_path):
    with pytest.raises(ConversionError, match='none.pth does not exist'):
        load_state(tmp_path / 'none.pth')

    (tmp_path / 'page.pth').write_text('<html>404</html>')
    with pytest.raises(ConversionError, match='page.pth is not a checkpoint'):
        load_state(tmp_path / 'page.pth')
    with pytest.raises(ConversionError, match='page.pth cannot be read'):
        load_state(tmp_path / 'page.pth', trusted=True)

    (tmp_path / 'empty.pth').write_bytes(b'')
    with pytest.raises(ConversionError, match='Download it again'):
        load_state(tmp_path / 'empty.pth')

    torch.save(STATE, tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'part.pth').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConversionError, match='part.pth is no.*incomplete'):
        load_state(tmp_path / 'part.pth')

    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(ConversionError, match='holds no parameters but a list'):
        load_state(tmp_path / 'list.pth')

    torch.save({'epoch': 3}, tmp_path / 'log.pth')
    with pytest.raises(ConversionError, match="'epoch' is a int"):
        load_state(tmp_path / 'log.pth')


def test_safetensors_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / 'a.safetensors').write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    with pytest.raises(ConversionError, match='pip install safetensors'):
        load_state(tmp_path / 'a.safetensors')


def test_a_written_file_is_plain_and_readable_by_others(tmp_path):
    path = tmp_path / 'new' / 'a.pth'
    save_state(STATE, path, converted_from='b.pth')
    content = torch.load(path, weights_only=True)
    assert content['meta'] == {'converted_from': 'b.pth'}
    assert _same(content['state_dict'], STATE)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert os.listdir(path.parent) == ['a.pth']


def test_a_failed_write_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    save_state(STATE, path)
    before = path.read_bytes()

    def half(content, file):
        file.write(before[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, 'save', half)
    with pytest.raises(KeyboardInterrupt):
        save_state({'other': torch.ones(3)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ['a.pth']


def test_an_error_names_the_file_and_writes_nothing(tmp_path):
    def convert(state):
        raise ConversionError('This is not a bird.')

    torch.save(STATE, tmp_path / 'a.pth')
    with pytest.raises(ConversionError, match='a.pth: This is not a bird'):
        convert_file(tmp_path / 'a.pth', tmp_path / 'b.pth', convert)
    assert os.listdir(tmp_path) == ['a.pth']


@pytest.mark.parametrize('tool', sorted(path.name for path in TOOLS.glob('*.py')))
def test_tools_say_what_is_wrong(tmp_path, tool):
    torch.save(STATE, tmp_path / 'a.pth')
    done = subprocess.run(
        [sys.executable, TOOLS / tool, tmp_path / 'a.pth', tmp_path / 'b.pth'],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert 'a.pth: This is not' in done.stderr
    assert 'Traceback' not in done.stderr
