"""Checkpoints with the names of Swin-Transformer-Object-Detection, in mmdet 3."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from public_files import swin_backbone

from iptq_mm.models.converters import ConversionError, convert_swin_detector

CONFIG = (
    Path(__file__).parents[3]
    / 'configs/cascade_mask_rcnn/cascade-mask-rcnn_swin-t_w8a8_coco.py'
)
WIDTH, DEPTHS, HEADS, WINDOW = 16, (1, 2, 1, 1), (1, 2, 4, 8), 7


@pytest.fixture(scope='module')
def model():
    from mmdet.registry import MODELS

    cfg = Config.fromfile(CONFIG)
    init_default_scope('mmdet')
    cfg.model.backbone.update(embed_dims=WIDTH, depths=DEPTHS, num_heads=HEADS)
    cfg.model.neck.in_channels = [WIDTH * 2**i for i in range(4)]
    for head in cfg.model.roi_head.bbox_head:
        head.fc_out_channels = 16
    return MODELS.build(cfg.model).eval()


@pytest.fixture
def checkpoint(model):
    """A detector's checkpoint: neck and heads have one name in both versions."""
    torch.manual_seed(0)
    others = {
        key: torch.randn(value.shape) if value.is_floating_point() else value
        for key, value in model.state_dict().items()
        if not key.startswith('backbone.')
    }
    # The names that mmdet 2 gives to these layers.
    for key in (
        'neck.lateral_convs.0.conv.weight',
        'neck.fpn_convs.3.conv.bias',
        'rpn_head.rpn_conv.weight',
        'rpn_head.rpn_cls.weight',
        'rpn_head.rpn_reg.weight',
        'roi_head.bbox_head.0.fc_cls.weight',
        'roi_head.bbox_head.1.fc_reg.weight',
        'roi_head.bbox_head.2.shared_convs.3.conv.weight',
        'roi_head.bbox_head.2.shared_convs.3.bn.running_mean',
        'roi_head.bbox_head.2.shared_fcs.0.weight',
        'roi_head.mask_head.0.convs.0.conv.weight',
        'roi_head.mask_head.0.upsample.weight',
        'roi_head.mask_head.2.conv_logits.weight',
    ):
        assert key in others
    return swin_backbone(WIDTH, DEPTHS, HEADS, WINDOW) | others


def test_loads_strictly(model, checkpoint):
    model.load_state_dict(convert_swin_detector(checkpoint), strict=True)


def test_position_index_is_the_same(model, checkpoint):
    key = 'backbone.stages.0.blocks.0.attn.w_msa.relative_position_index'
    assert torch.equal(convert_swin_detector(checkpoint)[key], model.state_dict()[key])


@pytest.mark.parametrize('stage', [0, 1, 2])
@torch.no_grad()
def test_patch_merging_is_the_same_function(model, checkpoint, stage):
    model.load_state_dict(convert_swin_detector(checkpoint), strict=True)
    height, width, channels = 6, 8, WIDTH * 2**stage
    x = torch.randn(2, height * width, channels)

    # Swin's own order: slices of the four corners, column by column.
    name = f'backbone.layers.{stage}.downsample'
    image = x.view(2, height, width, channels)
    corners = [image[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    merged = torch.cat(corners, -1).flatten(1, 2)
    expected = F.linear(
        F.layer_norm(
            merged,
            (4 * channels,),
            checkpoint[f'{name}.norm.weight'],
            checkpoint[f'{name}.norm.bias'],
        ),
        checkpoint[f'{name}.reduction.weight'],
    )

    actual, size = model.backbone.stages[stage].downsample(x, (height, width))
    assert tuple(size) == (height // 2, width // 2)
    # Two orders of the same float32 additions.
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    # The permutation matters, or this test would say nothing.
    raw = model.backbone.stages[stage].downsample
    raw.reduction.weight.copy_(checkpoint[f'{name}.reduction.weight'])
    assert not torch.allclose(raw(x, (height, width))[0], expected, atol=1e-2)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: convert_swin_detector(s), 'already has the names of mmdet 3'),
        (
            lambda s: {
                key.removeprefix('backbone.'): value
                for key, value in s.items()
                if key.startswith('backbone.')
            },
            'classifier, not a detector',
        ),
        (lambda s: {'conv1.weight': torch.ones(1)}, 'It begins with conv1.weight'),
        (
            lambda s: s | {'backbone.absolute_pos_embed': torch.ones(1)},
            r'nothing corresponds to backbone\.absolute_pos_embed',
        ),
        (
            lambda s: s | {'ema_backbone_norm0_weight': torch.ones(1)},
            'nothing corresponds to ema_',
        ),
    ],
)
def test_other_models_are_refused(checkpoint, change, message):
    with pytest.raises(ConversionError, match=message):
        convert_swin_detector(change(checkpoint))
