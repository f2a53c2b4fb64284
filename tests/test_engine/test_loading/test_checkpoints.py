"""Which tensors of a model a checkpoint has to fill."""

import pytest
import tiny_models
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_state_dict
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.checkpoints import LoadCheck, file_problem, weights_in
from iptq_mm.plan import PlanError


def swin_v2(data):
    """A config whose model drops two buffers of every checkpoint, its own too."""
    cfg = tiny_models.swin(data)
    cfg.model.backbone = dict(
        type='SwinTransformerV2',
        img_size=32,
        patch_size=2,
        window_size=[4, 4],
        out_indices=(1,),
        arch=dict(
            embed_dims=16, depths=[1, 1], num_heads=[1, 2], extra_norm_every_n_blocks=0
        ),
    )
    return cfg


@pytest.fixture
def model(tiny_data):
    cfg = swin_v2(tiny_data / 'classification')
    init_default_scope('mmpretrain')
    return MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))


def loaded(model, state, regions=('backbone', 'head')):
    check = LoadCheck(model, weights_in({'state_dict': state}))
    load_state_dict(model, state)
    check.finish(regions)


def test_own_checkpoint_of_a_model_that_drops_buffers(model):
    state = {k: v.clone() for k, v in model.state_dict().items()}
    assert any('relative_coords_table' in name for name in state)
    loaded(model, dict(state))
    # Converted ones may lack what the model computes itself.
    few = {k: v for k, v in state.items() if 'relative_coords_table' not in k}
    loaded(model, few)
    # Checking changes nothing.
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_integers_of_a_model_that_drops_buffers(tiny_data, tmp_path):
    from iptq_mm.engine.loading.models import load_quantized
    from iptq_mm.engine.run.pipeline import quantize_and_compare

    cfg = swin_v2(tiny_data / 'classification')
    config, _ = tiny_models.write(cfg, tmp_path, 'swin_v2')
    quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
    written = tmp_path / 'run/integer.pth'
    load_quantized(tmp_path / 'run/integer.py')  # as the run itself did
    checkpoint = torch.load(written, weights_only=True)
    weights = checkpoint['state_dict']
    last = [name for name in weights if name.endswith('.weight')][-1]
    fewer = {k: v for k, v in weights.items() if k != last}
    for changed in (fewer, weights | {'other': torch.ones(1)}):
        torch.save({**checkpoint, 'state_dict': changed}, tmp_path / 'changed.pth')
        with pytest.raises((ConfigError, PlanError), match='not fit|no integers'):
            load_quantized(tmp_path / 'run/integer.py', str(tmp_path / 'changed.pth'))


def test_missing_weights(model):
    state = dict(model.state_dict())
    name = 'backbone.stages.0.blocks.0.attn.w_msa.logit_scale'
    del state[name]
    with pytest.raises(ConfigError, match=f"no values for 1 tensors.*'{name}'"):
        loaded(model, state)
    loaded(model, state, regions=['head'])


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
        self.register_buffer('kept', torch.ones(1), persistent=False)


def test_statistics_of_batch_norms_are_needed():
    model = Normed()
    state = dict(model.state_dict())
    loaded(model, dict(state), ['backbone'])
    del state['backbone.1.running_var']
    with pytest.raises(ConfigError, match=r"'backbone\.1\.running_var'"):
        loaded(model, state, ['backbone'])


def test_another_shape_is_an_error_in_every_part():
    model = Normed()
    state = {f'module.{k}': v for k, v in model.state_dict().items()}
    state['module.backbone.0.bias'] = torch.ones(3)
    check = LoadCheck(model, weights_in(state))
    load_state_dict(model, {k.removeprefix('module.'): v for k, v in state.items()})
    with pytest.raises(ConfigError, match=r"'backbone.0.bias' is \(3,\) in the check"):
        check.finish(['head'])


def test_weights_in():
    weights = {'a': torch.ones(1)}
    assert weights_in({'state_dict': weights, 'meta': {}}) == weights
    assert weights_in({**weights, 'epoch': 3}) == weights
    for wrong in ([1], nn.Linear(1, 1), {'state_dict': [1]}):
        with pytest.raises(ConfigError, match='no weights by name but a'):
            weights_in(wrong)
    with pytest.raises(ConfigError, match=r"entries \['model'\]: convert it"):
        weights_in({'model': weights, 'epoch': 3})


def test_file_problem(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'a': torch.ones(100)}, path)
    assert file_problem(str(path)) == ''
    assert file_problem('https://nowhere/a.pth') == ''
    torch.save({'a': 1}, path, _use_new_zipfile_serialization=False)
    assert file_problem(str(path)) == ''


def test_the_hook_asks_for_what_the_regions_need(vit_run, tmp_path):
    from mmengine.runner import Runner

    cfg = Config.fromfile(vit_run.config)
    cfg.custom_hooks = [dict(type='iptq_mm.QuantizationHook')]
    cfg.work_dir, cfg.launcher = str(tmp_path), 'none'
    cfg.experiment_name = tmp_path.name
    state = torch.load(vit_run.checkpoint, weights_only=True)['state_dict']
    del state['backbone.ln1.bias']
    cfg.load_from = str(tmp_path / 'less.pth')
    torch.save(state, cfg.load_from)
    with pytest.raises(ConfigError, match=r'no values for 1 tensors.*ln1\.bias'):
        Runner.from_cfg(cfg).test()
