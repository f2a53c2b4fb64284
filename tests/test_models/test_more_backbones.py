"""Backbones that no config of this project names, quantized without new code."""

import mmpretrain.models  # noqa: F401  (fills the registry)
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine import quantize_model

CANDIDATES = dict(
    gelu=[dict(type='poly_gelu'), dict(type='table_gelu')],
    softmax=[dict(type='bit_softmax'), dict(type='table_softmax')],
    layer_norm=[dict(type='ivit_layernorm')],
)
SMALL = dict(img_size=64, patch_size=16)
TINY = dict(embed_dims=64, num_layers=2, num_heads=2, feedforward_channels=128)
BACKBONES = {
    'DeiT-3': dict(type='DeiT3', arch='s', **SMALL),
    'BEiT': dict(
        type='BEiTViT',
        arch='base',
        out_type='avg_featmap',
        use_abs_pos_emb=False,
        use_rel_pos_bias=True,
        **SMALL,
    ),
    'MAE': dict(
        type='VisionTransformer',
        arch='deit-s',
        out_type='avg_featmap',
        layer_scale_init_value=0.1,
        **SMALL,
    ),
    'Twins-SVT': dict(type='SVT', arch='small'),
    'Twins-PCPVT': dict(type='PCPVT', arch='small'),
    'ConvNeXt': dict(type='ConvNeXt', arch='atto'),
    'TinyViT': dict(
        type='TinyViT', arch='5m', img_size=(64, 64), window_size=(4, 4, 4, 2)
    ),
    'EVA-02': dict(type='ViTEVA02', arch=TINY, **SMALL),
    'XCiT': dict(
        type='XCiT',
        embed_dims=32,
        depth=2,
        num_heads=2,
        cls_attn_layers=1,
        **SMALL,
    ),
    'TNT': dict(
        type='TNT',
        arch=dict(
            embed_dims_outer=64,
            embed_dims_inner=24,
            num_layers=2,
            num_heads_outer=2,
            num_heads_inner=2,
        ),
        img_size=64,
    ),
    'MLP-Mixer': dict(type='MlpMixer', arch='b', **SMALL),
}


class Model(nn.Module):
    """The little that quantization asks of a model."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def test_step(self, batch):
        return self.backbone(batch)


@pytest.mark.parametrize('name', BACKBONES)
def test_quantizes(name):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    backbone = MODELS.build(BACKBONES[name])
    for parameter in backbone.parameters():
        if parameter.dim() > 1:  # the initial weights leave attention flat
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    backbone.eval()  # some return None, and some derive from parameters
    model, images = Model(backbone), torch.randn(2, 3, 64, 64)
    config = QuantizationConfig.from_dict(dict(regions=['backbone']), CANDIDATES)
    with torch.no_grad():
        expected = model.test_step(images)[-1]
        quantize_model(model, config, [images])
        actual = model.test_step(images)[-1]
    error = (expected - actual).square().mean()
    # 23 to 61 dB were measured; random weights make sharp attention, which is
    # harder than trained ones.
    assert 10 * torch.log10(expected.square().mean() / error) > 18
