"""Configs and the models that they build."""

import pytest
import torch
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.models import (
    build_model,
    check_checkpoint,
    is_quantized,
    load_quantized,
    read_config,
)
from iptq_mm.modes import regions_in


@pytest.fixture
def written(tmp_path):
    """Writes a config; its path."""

    def write(text):
        path = tmp_path / 'some.py'
        path.write_text(text)
        return path

    return write


def test_overrides(written):
    path = written("a = dict(b=1, c=2)\nload_from = 'its.pth'")
    cfg = read_config(path, options={'a.b': 3})
    assert cfg.a == dict(b=3, c=2) and cfg.load_from == 'its.pth'
    assert read_config(path).a.b == 1
    assert read_config(path, 'other.pth').load_from == 'other.pth'
    assert read_config(path, None, {'load_from': 'third.pth'}).load_from == 'third.pth'
    assert read_config(written('a = 1')).load_from is None


def test_old_names(written, tmp_path, recwarn):
    """Python hides such warnings; who inherits an old name hears of it, too."""
    (tmp_path / 'new.py').write_text('a = 1')
    old = tmp_path / 'old.py'
    old.write_text("_base_ = './new.py'\n_deprecation_ = dict(expected='new.py')")
    for path in (old, written("_base_ = './old.py'\nb = 2")):
        assert read_config(path).a == 1
        message = str(recwarn.pop(DeprecationWarning).message)
        assert f'{old} will be deprecated' in message
        assert 'Please use new.py instead' in message
    assert read_config(tmp_path / 'new.py').a == 1 and not recwarn.list


def test_missing_config(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no config .*nothing.py'):
        read_config(tmp_path / 'nothing.py')
    with pytest.raises(FileNotFoundError, match='there is no config'):
        read_config(tmp_path)


def test_checkpoints(tmp_path):
    (tmp_path / 'a.pth').touch()
    for there in (str(tmp_path / 'a.pth'), 'https://somewhere/a.pth'):
        check_checkpoint(Config(dict(load_from=there)))
    with pytest.raises(FileNotFoundError, match='there is no checkpoint b.pth'):
        check_checkpoint(Config(dict(load_from='b.pth')))
    public = Config(dict(load_from='checkpoints/deit-tiny_3rdparty_in1k.pth'))
    how = 'get_checkpoint.py deit-tiny_w8a8_in1k. fetches it and converts it .from http'
    with pytest.raises(FileNotFoundError, match=how):
        check_checkpoint(public)
    for none in (Config(), Config(dict(load_from=None)), Config(dict(load_from=''))):
        with pytest.raises(ConfigError, match='as load_from in it$'):
            check_checkpoint(none)
        with pytest.raises(ConfigError, match=r'in it \(or none\)$'):
            check_checkpoint(none, '(or none)')


def test_is_quantized(vit_run):
    assert is_quantized(read_config(vit_run.folder / 'integer.py').model)
    assert not is_quantized(read_config(vit_run.config).model)
    quantized = dict(type='iptq_mm.build_quantized')
    assert is_quantized([1, (dict(a=[quantized]),)])
    assert not is_quantized(dict(a='iptq_mm.build_quantized')) and not is_quantized(
        None
    )


def test_model_with_its_weights(vit_run):
    model = build_model(read_config(vit_run.config))
    expected = torch.load(vit_run.checkpoint, weights_only=True)['state_dict']
    found = model.state_dict()
    assert not model.training and found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    # The config has it beside the model.
    assert model.data_preprocessor.mean.numel() == 3


def test_weights_of_another_model(vit_run, swin_run):
    with pytest.raises(ConfigError, match='does not fit the model'):
        build_model(read_config(vit_run.config, swin_run.checkpoint))


def test_quantized_models_only(vit_run, written):
    cfg, model = load_quantized(vit_run.folder / 'integer.py')
    assert cfg.load_from and list(regions_in(model)) == ['backbone', 'head']
    with pytest.raises(ConfigError, match='no quantized region.*tools/quantize.py'):
        load_quantized(vit_run.config)
    with pytest.raises(ConfigError, match='no quantized region'):
        load_quantized(written('a = 1'))
