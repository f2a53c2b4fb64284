"""Lists of settings: reading, inheriting, and what is wrong with them."""

from pathlib import Path

import pytest
import torch
from sweep_cases import FUNCTIONS

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.sweep import load_settings

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def refused(listed):
    """What is said about a list that is not possible."""

    def load(text, error=ConfigError, **arguments):
        with pytest.raises(error) as caught:
            listed(text, **arguments)
        return str(caught.value)

    return load


def test_settings_are_merged(listed, vit_run):
    text = f"""
title = 'A title'
_private = 1
settings = [
    dict(name='A b'),
    dict(name='changed', seed=3, candidates={FUNCTIONS},
         options={{'quantization.weight.bits': 4,
                  'quantization.criterion': dict(_delete_=True, type='sqnr')}}),
]"""
    found = listed(text)
    plain, changed = found.settings
    assert found.title == 'A title' and found.notes == '' and plain.slug == 'a-b'
    assert (plain.seed, plain.bits, plain.images) == (7, 'W8A8', 6)
    assert plain.cfg.load_from == vit_run.checkpoint
    assert (changed.seed, changed.bits) == (3, 'W4A8')
    assert changed.cfg.candidates.to_dict() == FUNCTIONS
    assert changed.quantization.criterion == {'type': 'sqnr'}
    assert set(changed.quantization.candidates['gelu']) == {'shift_gelu'}
    assert plain.key != changed.key


def test_options_of_all_settings(listed):
    text = """
options = {'quantization.weight.bits': 6, 'quantization.wide.bits': 12}
settings = [
    dict(name='a'), dict(name='b', options={'quantization.weight.bits': 4})]"""
    a, b = listed(text).settings
    assert (a.bits, b.bits) == ('W6A8', 'W4A8')
    assert a.quantization.wide.bits == b.quantization.wide.bits == 12


def test_candidates_of_a_file(listed, tmp_path):
    (tmp_path / 'few.py').write_text(f'candidates = {FUNCTIONS}')
    path = str(tmp_path / 'few.py')
    (setting,) = listed(f"settings = [dict(name='a', candidates={path!r})]").settings
    assert setting.cfg.candidates.to_dict() == FUNCTIONS


def test_lists_inherit(listed, tmp_path):
    (tmp_path / 'common.py').write_text("settings = [dict(name='a')]\ntitle = 'old'")
    found = listed("_base_ = './common.py'\ntitle = 'new'")
    assert found.title == 'new' and [s.name for s in found.settings] == ['a']


def test_key_is_of_content(listed, vit_run, tmp_path):
    def key(text="settings = [dict(name='a')]", **arguments):
        return listed(text, **arguments).settings[0].key

    other = tmp_path / 'copy.pth'
    other.write_bytes(Path(vit_run.checkpoint).read_bytes())
    assert key() == key(checkpoint=str(other))
    assert key() == key("settings = [dict(name='b')]")
    weights = torch.load(other, weights_only=True)
    weights['state_dict']['backbone.cls_token'] += 1
    torch.save(weights, other)
    assert key() != key(checkpoint=str(other))
    assert key() != key("settings = [dict(name='a', seed=0)]")


def test_what_is_wrong_with_a_list(refused, tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no list of settings'):
        load_settings(tmp_path / 'nothing.py')
    assert 'there is nothing to do' in refused('')
    message = refused("setings = [dict(name='a')]")
    assert "no key 'setings'" in message and "'settings'" in message
    message = refused("settings = [dict(name='a', opts={})]")
    assert "setting 0 has no key 'opts'" in message and "'options'" in message
    assert 'setting 0 is a dict, not' in refused("settings = ['a']")
    assert 'setting 1 has no name' in refused("settings = [dict(name='a'), dict()]")
    twice = "settings = [dict(name='a b'), dict(name='A, b')]"
    assert "called 'A, b' and 'a b'" in refused(twice)
    message = refused("settings = [dict(name='a')]", base=False)
    assert "setting 'a': it has no config" in message
    assert "grid['seed'] is a list" in refused("grid = {'seed': 3}")
    assert 'grid is a dict of lists' in refused('grid = [3]')


def test_what_is_wrong_with_a_setting(refused):
    def said(error=ConfigError, **setting):
        message = refused(f'settings = [{dict(name="a", **setting)}]', error)
        assert message.startswith("setting 'a': ")
        return message

    options = {'quantization.wieght.bits': 4}
    assert "no option 'wieght'" in said(options=options)
    message = said(options={'quantisation.weight.bits': 4})
    assert "nothing called 'quantisation.weight.bits'" in message
    assert "'quantization'" in message
    assert 'use 2 to 16' in said(options={'quantization.weight.bits': 17})
    assert 'cannot inherit' in said(options={'log_level.x': 3})
    assert "no integer function 'gelo'" in said(
        candidates={**FUNCTIONS, 'gelu': [dict(type='gelo')]}
    )
    assert 'no integer' in said(seed=0.5)
    assert 'there is no config no.py' in said(FileNotFoundError, config='no.py')
    assert 'there is no config no.py' in said(FileNotFoundError, candidates='no.py')
    assert 'no checkpoint no.pth' in said(FileNotFoundError, checkpoint='no.pth')
