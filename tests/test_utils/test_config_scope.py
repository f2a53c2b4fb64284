"""``_base_ = 'iptq_mm::...'`` in any process that has imported this package."""

import subprocess
import sys

import pytest
from mmengine.config import Config
from mmengine.config import utils as table
from shipped import CONFIGS, load

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.loading.models import read_config
from iptq_mm.engine.loading.scopes import drop_own_scope
from iptq_mm.utils import register_config_scope
from iptq_mm.utils.after_import import _Finder
from iptq_mm.utils.config_scope import _TABLE


@pytest.fixture
def inherit(tmp_path):
    """Reads a config."""

    def read(text):
        (tmp_path / 'mine.py').write_text(text)
        return Config.fromfile(tmp_path / 'mine.py')

    return read


def test_bases(inherit):
    names = ['_base_/quantization/w8a8.py', '_base_/candidates/tables.py']
    cfg = inherit(f'_base_ = {[f"iptq_mm::{name}" for name in names]}')
    drop_own_scope(cfg._cfg_dict)
    for name in names:
        (key,) = load(name)._cfg_dict
        assert cfg[key] == load(name)[key]


def test_the_scope_is_no_option(inherit, tmp_path):
    cfg = inherit(
        "_base_ = 'iptq_mm::_base_/quantization/w8a8.py'\n"
        "model = dict(type='A', _scope_='mmdet')\n"
        "quantization = dict(regions=['backbone'])"
    )
    assert cfg.quantization.weight.observer._scope_ == 'iptq_mm'
    settings = QuantizationConfig.from_dict(cfg.quantization)
    assert settings.weight.observer == {'type': 'minmax'}
    cfg = read_config(tmp_path / 'mine.py')
    assert cfg.quantization.weight.observer == {'type': 'minmax'}
    assert cfg.model._scope_ == 'mmdet'


@pytest.mark.slow
def test_beside_a_config_of_mm(inherit):
    cfg = inherit(
        "_base_ = ['mmpretrain::deit/deit-tiny_4xb256_in1k.py',\n"
        "    'iptq_mm::_base_/quantization/w8a8.py']\n"
        'quantization = dict(weight=dict(bits=6))'
    )
    assert cfg.quantization.weight.bits == 6 and cfg.model.backbone.arch == 'deit-tiny'


@pytest.mark.slow
def test_presets(inherit):
    name = 'cascade_mask_rcnn/cascade-mask-rcnn_swin-t_w8a8_coco.py'
    cfg = inherit(f"_base_ = 'iptq_mm::{name}'")
    drop_own_scope(cfg._cfg_dict)
    assert cfg._cfg_dict == load(name)._cfg_dict


def test_missing(inherit):
    with pytest.raises(FileNotFoundError, match='none.py'):
        inherit("_base_ = 'iptq_mm::_base_/none.py'")


def test_calling_it_again():
    before = list(sys.meta_path)
    register_config_scope()
    assert sys.meta_path == before
    assert table.MODULE2PACKAGE['iptq_mm'] == 'iptq_mm'
    waiting = [finder.name for finder in before if isinstance(finder, _Finder)]
    assert _TABLE not in waiting and len(waiting) == len(set(waiting))


@pytest.mark.slow
@pytest.mark.parametrize(
    'imports',
    [
        'import iptq_mm\nassert "mmengine.config" not in sys.modules\n'
        'from mmengine.config import Config',
        'from mmengine.config import Config\nimport iptq_mm',
    ],
)
def test_either_order_of_imports(imports):
    text = "_base_ = 'iptq_mm::_base_/quantization/w8a8.py'"
    code = (
        f'import sys\n{imports}\ncfg = Config.fromstring({text!r}, ".py")\n'
        'assert cfg.quantization.weight.bits == 8, cfg\n'
        'from mmengine.config import utils\n'
        'assert utils.__spec__.loader.get_source(utils.__name__)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_folder_of_configs_is_ours():
    assert (CONFIGS.parent / 'iptq_mm/.mim/configs').resolve() == CONFIGS.resolve()
