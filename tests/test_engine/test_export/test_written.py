"""What was written is built, loaded and compared before it is called a result."""

import shutil

import pytest
import tiny_models
import tiny_runs
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.export.written import check_readable, check_written
from iptq_mm.engine.loading.models import load_quantized
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.modes import regions_in
from iptq_mm.program import use_backend

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def written(run, tmp_path):
    """Copies of the files, the model that they hold, and a batch of test images."""
    for name in ('integer.py', 'integer.pth'):
        shutil.copy(run.folder / name, tmp_path / name)
    cfg, model = load_quantized(run.folder / 'integer.py')
    return tmp_path / 'integer.py', model, next(iter(_loader(cfg)))


def _loader(cfg):
    return Runner.build_dataloader(cfg.test_dataloader)


def test_a_sound_result(written):
    path, model, batch = written
    before = len(batch['data_samples'][0].all_keys())
    check_written(path, model, batch)
    # Nothing is left behind.
    assert len(batch['data_samples'][0].all_keys()) == before
    assert not model.backbone._forward_pre_hooks
    for region in regions_in(model).values():
        assert region.on_output is None


@pytest.mark.parametrize('backend', ['reference', 'native'])
def test_with_a_back_end(vit_run, backend):
    cfg, model = load_quantized(vit_run.folder / 'integer.py')
    use_backend(model, backend)
    sessions = [region.session for region in regions_in(model).values()]
    check_written(vit_run.folder / 'integer.py', model, next(iter(_loader(cfg))))
    assert [region.session for region in regions_in(model).values()] == sessions


def _change(path, change):
    saved = torch.load(path.with_suffix('.pth'), weights_only=True)
    change(saved['state_dict'])
    torch.save(saved, path.with_suffix('.pth'))


def test_another_integer(written):
    path, model, batch = written
    key = next(k for k in model.state_dict() if k.endswith('qkv.weight'))
    _change(path, lambda state: state[key].view(-1)[3].add_(1))
    with pytest.raises(ConfigError, match=rf"does not give back.*1 tensors .*'{key}'"):
        check_written(path, model, batch)


def test_a_missing_plan(written):
    path, model, batch = written
    _change(path, lambda state: state.pop('backbone.quantization_plan'))
    with pytest.raises(ConfigError, match='PlanError: .* no plan for region .backbone'):
        check_written(path, model, batch)


def test_a_module_with_other_arguments(vit_run, tmp_path):
    """All tensors are the same, and the model is not."""
    cfg, model = load_quantized(vit_run.folder / 'integer.py')
    batch = next(iter(_loader(cfg)))
    shutil.copy(vit_run.folder / 'integer.pth', tmp_path / 'integer.pth')
    text = (vit_run.folder / 'integer.py').read_text()
    assert 'num_heads=2' in text
    (tmp_path / 'integer.py').write_text(text.replace('num_heads=2', 'num_heads=1'))
    with pytest.raises(ConfigError, match='integer.py does not give back the model'):
        check_written(tmp_path / 'integer.py', model, batch)


def test_a_config_that_does_not_parse(written):
    path, model, batch = written
    path.write_text('model = dict(')
    with pytest.raises(ConfigError, match='SyntaxError'):
        check_written(path, model, batch)


def test_readable(vit_run):
    cfg = Config.fromfile(vit_run.config)
    check_readable(cfg)


class Changing:
    """Pickled, it is another one."""

    def __reduce__(self):
        return str, (id(object()),)


def test_what_reads_otherwise(vit_run):
    cfg = Config.fromfile(vit_run.config)
    cfg.odd = dict(x=Changing())
    with pytest.raises(
        ConfigError, match='say something else when it is read, at odd:'
    ):
        check_readable(cfg)


def test_names_that_hide_those_of_the_file(vit_run):
    cfg = Config.fromfile(vit_run.config)
    cfg.importlib = dict(x=float('inf'))
    cfg.zeta = torch.float16
    with pytest.raises(ConfigError, match='the config of the result could not be read'):
        check_readable(cfg)


@pytest.fixture
def lora(tiny_data):
    """A ViT of which a checkpoint of mmpretrain holds next to nothing."""
    cfg = tiny_models.vit(tiny_data / 'classification', 32)
    cfg.model.backbone = dict(
        type='LoRAModel',
        module=dict(
            cfg.model.backbone,
            # Of another file than the integers, which may be gone by then.
            init_cfg=dict(type='Pretrained', checkpoint='gone.pth'),
        ),
        alpha=8,
        rank=2,
        targets=[dict(type='qkv')],
    )
    return cfg


@pytest.mark.slow
def test_a_model_that_saves_a_part_of_itself(lora, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    init = lora.model.backbone.module.pop('init_cfg')
    model = tiny_models.build(lora)
    torch.save(model.backbone.module.state_dict(), 'gone.pth')
    lora.model.backbone.module.init_cfg = init
    config, _ = tiny_models.write(lora, tmp_path, 'lora')
    results = quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
    assert results['output_sqnr_db']['backbone:0'] > 10
    (tmp_path / 'gone.pth').unlink()
    cfg, model = load_quantized(tmp_path / 'run/integer.py')
    check_written(tmp_path / 'run/integer.py', model, next(iter(_loader(cfg))))
    metrics, _ = tiny_runs.run_test(tmp_path / 'run/integer.py', tmp_path / 'again')
    assert {k: round(v, 6) for k, v in metrics.items()} == results['integer']
