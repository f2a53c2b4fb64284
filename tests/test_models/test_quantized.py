"""Regions that are built empty and filled by their checkpoint."""

import copy
import json
import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from iptq_mm.modes import Integer, bound_region, regions_in
from iptq_mm.modes.install import PLAN_KEY
from iptq_mm.plan import PlanError
from iptq_mm.registry import MODELS

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def build(vit_run):
    """Builds the quantized ViT, without its checkpoint."""

    def make(**backbone):
        init_default_scope('mmpretrain')
        cfg = Config.fromfile(vit_run.folder / 'integer.py')
        cfg.model.backbone.update(backbone)
        cfg.model.data_preprocessor = cfg.data_preprocessor
        return MODELS.build(cfg.model).eval()

    return make


@pytest.fixture
def state(vit_run):
    path = vit_run.folder / 'integer.pth'
    return torch.load(path, weights_only=True)['state_dict']


def _batch():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_standard_module(build):
    from mmpretrain.models import ImageClassifier, VisionTransformer

    model = build()
    assert type(model) is ImageClassifier
    assert isinstance(model.backbone, VisionTransformer)


def test_refuses_to_run_before_loading(build):
    with pytest.raises(RuntimeError, match=r'load a checkpoint that tools/quantize.py'):
        build()(_batch())


def test_loads_by_mmengine_and_by_torch(build, vit_run, state):
    first, second = build(), build()
    load_checkpoint(first, str(vit_run.folder / 'integer.pth'), map_location='cpu')
    second.load_state_dict(state)
    for model in (first, second):
        assert {type(r.mode) for r in regions_in(model).values()} == {Integer}
        assert set(regions_in(model)) == {'backbone', 'head'}
    expected = first(_batch())
    assert torch.equal(expected, second(_batch()))
    for name, value in second.state_dict().items():
        assert torch.equal(value, state[name]) and value.dtype == state[name].dtype


def test_loading_tells_of_nothing_missing(build, vit_run, caplog):
    load_checkpoint(
        build(), str(vit_run.folder / 'integer.pth'), 'cpu', logger=logging.getLogger()
    )
    assert 'do not match' not in caplog.text


def test_loads_twice_and_copies(build, state):
    model = build()
    model.load_state_dict(state)
    expected = model(_batch())
    model.load_state_dict(state)
    assert torch.equal(model(_batch()), expected)
    twin = copy.deepcopy(model)
    model.head.layers.head.weight.data.zero_()
    assert torch.equal(twin(_batch()), expected)


def test_plan_in_other_words(build, state):
    """A version before or after this one may have written it."""
    model = build()
    model.load_state_dict(state)
    other = dict(state)
    for key in [k for k in state if k.endswith(PLAN_KEY)]:
        text = json.dumps(json.loads(bytes(state[key].numpy())), indent=1)
        other[key] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    twin = build()
    twin.load_state_dict(other)
    assert torch.equal(twin(_batch()), model(_batch()))


def test_float_checkpoint(build, vit_run):
    message = r"no plan for region 'backbone'.*tools/quantize.py"
    with pytest.raises(PlanError, match=message):
        load_checkpoint(build(), vit_run.checkpoint)


def test_plan_of_another_model(build, state, swin_run):
    path = swin_run.folder / 'integer.pth'
    with pytest.raises(PlanError, match="region 'backbone' was made for another model"):
        load_checkpoint(build(), str(path))
    arch = dict(embed_dims=128, num_layers=1, num_heads=2, feedforward_channels=512)
    with pytest.raises(PlanError, match="'layers.1.* is missing in the model"):
        build(arch=arch).load_state_dict(state)


def test_damaged_plan(build, state):
    state['backbone.quantization_plan'] = state['backbone.quantization_plan'][:-10]
    with pytest.raises(PlanError, match='damaged'):
        build().load_state_dict(state)


def test_changed_integers(build, state):
    key = 'backbone.layers.0.attn.qkv.weight'
    for value in (None, state[key].float()):
        changed = {k: v for k, v in state.items() if k != key}
        if value is not None:
            changed[key] = value
        with pytest.raises(PlanError, match=f"no integers for '{key}'"):
            build().load_state_dict(changed)


def test_nothing_is_fetched(build):
    """``init_cfg`` of the float config may name weights that are not there."""
    model = build(init_cfg=dict(type='Pretrained', checkpoint='http://invalid/x'))
    model.backbone.init_weights()


def test_memory_of_programs(build, state):
    model = build(backend='reference', memory_mb=300)
    model.load_state_dict(state)
    assert bound_region(model.backbone).session.memory_mb == 300
    with pytest.raises(ValueError, match='only a back end has these'):
        build(memory_mb=300)
    with pytest.raises(ValueError, match='memory_mb=0'):
        build(backend='reference', memory_mb=0)


def test_modules_without_init_cfg(build):
    neck = MODELS.build(
        dict(
            type='iptq_mm.build_quantized', float_type='mmpretrain.GlobalAveragePooling'
        )
    )
    with pytest.raises(RuntimeError, match='is not quantized yet'):
        neck((torch.ones(1, 2, 3, 3),))
