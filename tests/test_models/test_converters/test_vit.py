"""Checkpoints with timm's names must become the same function in mmpretrain."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope

from iptq_mm.models.converters import ConversionError, convert_vit

WIDTH, DEPTH, HEADS, HIDDEN, CLASSES, PATCH, SIZE = 32, 2, 2, 48, 10, 8, 32
TOKENS = (SIZE // PATCH) ** 2


def timm_checkpoint(distilled=False, hidden_head=None, layer_scale=None):
    """Random parameters under the names of timm's VisionTransformer."""
    shapes = {
        'cls_token': (1, 1, WIDTH),
        'pos_embed': (1, TOKENS + 1 + distilled, WIDTH),
        'patch_embed.proj.weight': (WIDTH, 3, PATCH, PATCH),
        'patch_embed.proj.bias': (WIDTH,),
    }
    for i in range(DEPTH):
        shapes |= {
            f'blocks.{i}.norm1.weight': (WIDTH,),
            f'blocks.{i}.norm1.bias': (WIDTH,),
            f'blocks.{i}.attn.qkv.weight': (3 * WIDTH, WIDTH),
            f'blocks.{i}.attn.qkv.bias': (3 * WIDTH,),
            f'blocks.{i}.attn.proj.weight': (WIDTH, WIDTH),
            f'blocks.{i}.attn.proj.bias': (WIDTH,),
            f'blocks.{i}.norm2.weight': (WIDTH,),
            f'blocks.{i}.norm2.bias': (WIDTH,),
            f'blocks.{i}.mlp.fc1.weight': (HIDDEN, WIDTH),
            f'blocks.{i}.mlp.fc1.bias': (HIDDEN,),
            f'blocks.{i}.mlp.fc2.weight': (WIDTH, HIDDEN),
            f'blocks.{i}.mlp.fc2.bias': (WIDTH,),
        }
        if layer_scale:
            shapes |= {layer_scale.format(i, j): (WIDTH,) for j in (1, 2)}
    shapes |= {'norm.weight': (WIDTH,), 'norm.bias': (WIDTH,)}
    if hidden_head:
        shapes |= {
            'pre_logits.fc.weight': (hidden_head, WIDTH),
            'pre_logits.fc.bias': (hidden_head,),
        }
    features = hidden_head or WIDTH
    shapes |= {'head.weight': (CLASSES, features), 'head.bias': (CLASSES,)}
    if distilled:
        shapes |= {
            'dist_token': (1, 1, WIDTH),
            'head_dist.weight': (CLASSES, WIDTH),
            'head_dist.bias': (CLASSES,),
        }
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(shape, generator=generator) * 0.3
        for key, shape in shapes.items()
    }


def timm_forward(state, images):
    """What timm computes, by its names."""

    def linear(x, name):
        return F.linear(x, state[f'{name}.weight'], state[f'{name}.bias'])

    def norm(x, name):
        scale, shift = state[f'{name}.weight'], state[f'{name}.bias']
        return F.layer_norm(x, (WIDTH,), scale, shift, eps=1e-6)

    x = F.conv2d(
        images,
        state['patch_embed.proj.weight'],
        state['patch_embed.proj.bias'],
        stride=PATCH,
    )
    x = x.flatten(2).transpose(1, 2)
    first = [state[name] for name in ('cls_token', 'dist_token') if name in state]
    x = torch.cat([*(token.expand(len(x), -1, -1) for token in first), x], 1)
    x = x + state['pos_embed']
    for i in range(DEPTH):
        qkv = linear(norm(x, f'blocks.{i}.norm1'), f'blocks.{i}.attn.qkv')
        q, k, v = qkv.unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
        y = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        y = linear(y, f'blocks.{i}.attn.proj')
        x = x + y * state.get(f'blocks.{i}.ls1.gamma', torch.ones(()))
        y = F.gelu(linear(norm(x, f'blocks.{i}.norm2'), f'blocks.{i}.mlp.fc1'))
        y = linear(y, f'blocks.{i}.mlp.fc2')
        x = x + y * state.get(f'blocks.{i}.ls2.gamma', torch.ones(()))
    x = norm(x, 'norm')
    if 'dist_token' in state:
        return (linear(x[:, 0], 'head') + linear(x[:, 1], 'head_dist')) / 2
    x = x[:, 0]
    if 'pre_logits.fc.weight' in state:
        x = linear(x, 'pre_logits.fc').tanh()
    return linear(x, 'head')


def build(distilled=False, hidden_head=None, layer_scale=None):
    from mmpretrain.registry import MODELS

    init_default_scope('mmpretrain')
    backbone = {
        'type': 'DistilledVisionTransformer' if distilled else 'VisionTransformer',
        'arch': {
            'embed_dims': WIDTH,
            'num_layers': DEPTH,
            'num_heads': HEADS,
            'feedforward_channels': HIDDEN,
        },
        'img_size': SIZE,
        'patch_size': PATCH,
        'layer_scale_init_value': 1e-5 if layer_scale else 0.0,
    }
    head = {
        'type': 'DeiTClsHead' if distilled else 'VisionTransformerClsHead',
        'num_classes': CLASSES,
        'in_channels': WIDTH,
        'hidden_dim': hidden_head,
    }
    model = {'type': 'ImageClassifier', 'backbone': backbone, 'head': head}
    return MODELS.build(model).eval()


@pytest.mark.parametrize(
    'kind',
    [
        {},
        {'distilled': True},
        {'hidden_head': 24},
        {'layer_scale': 'blocks.{}.ls{}.gamma'},
    ],
    ids=['plain', 'distilled', 'hidden head', 'layer scale'],
)
@torch.no_grad()
def test_converted_model_computes_the_same(kind):
    state = timm_checkpoint(**kind)
    model = build(**kind)
    model.load_state_dict(convert_vit(state), strict=True)
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    expected = timm_forward(state, images)
    # Two orders of the same float32 additions.
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)


def test_older_name_of_layer_scale():
    kind = {'layer_scale': 'blocks.{}.gamma_{}'}
    converted = convert_vit(timm_checkpoint(**kind))
    build(**kind).load_state_dict(converted, strict=True)


def _without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        (convert_vit(timm_checkpoint()), 'already has the names of mmpretrain'),
        ({'conv1.weight': torch.ones(1)}, 'cls_token, pos_embed.* missing'),
        (
            _without(timm_checkpoint(), 'head.weight', 'head.bias'),
            'no classifier',
        ),
        (_without(timm_checkpoint(distilled=True), 'dist_token'), 'one of the two'),
        (
            timm_checkpoint() | {'fc_norm.weight': torch.ones(WIDTH)},
            'averages its patches',
        ),
        (
            timm_checkpoint() | {'pos_embed': torch.zeros(1, TOKENS, WIDTH)},
            'DeiT III',
        ),
        (
            timm_checkpoint() | {'blocks.0.attn.q_norm.weight': torch.ones(WIDTH)},
            r'nothing corresponds to blocks\.0\.attn\.q_norm\.weight',
        ),
    ],
)
def test_other_models_are_refused(state, message):
    with pytest.raises(ConversionError, match=message):
        convert_vit(state)
