import pytest
import tiny_models
import torch
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.synthetic.responses import Responses

pytestmark = pytest.mark.usefixtures('one_thread')
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255


def build(name, tmp_path):
    torch.manual_seed(0)
    return tiny_models.build(getattr(tiny_models, name)(tmp_path)).eval()


def test_logits_are_those_of_a_prediction(tmp_path):
    for name in ('vit', 'swin'):
        model = build(name, tmp_path)
        with torch.no_grad():
            logits, _ = Responses(model)(IMAGES)
            predicted = model.test_step({'inputs': list(IMAGES)})
        scores = torch.stack([p.pred_score for p in predicted])
        assert torch.allclose(logits.softmax(1), scores)


@pytest.mark.parametrize(
    ('name', 'shapes'),
    [
        ('vit', [(2, 17, 128)] * 2),
        ('swin', [(2, 256, 16)] * 2 + [(2, 64, 32)] * 2),
        ('mask_rcnn', [(2, 64, 16), *[(2, 16, 32)] * 2, (2, 4, 64), (2, 1, 128)]),
    ],
)
def test_tokens_of_all_attentions(name, shapes, tmp_path):
    model = build(name, tmp_path)
    images = IMAGES.clone().requires_grad_()
    logits, tokens = Responses(model)(images)
    assert [tuple(t.shape) for t in tokens] == shapes
    assert (logits is None) == (name == 'mask_rcnn')
    sum(t.square().sum() for t in tokens).backward()
    assert images.grad is not None and images.grad.abs().min() > 0
    assert not any(module._forward_hooks for module in model.modules())


def test_a_detector_runs_its_backbone_only(tmp_path):
    model = build('mask_rcnn', tmp_path)
    model.neck.forward = None
    assert Responses(model)(IMAGES)[0] is None


def test_feature_maps_where_there_is_no_attention(tmp_path):
    cfg = tiny_models.swin(tmp_path)
    cfg.model.backbone = dict(type='ResNet', depth=18, out_indices=(1, 3))
    cfg.model.head.in_channels = 512
    cfg.model.neck = dict(type='GlobalAveragePooling')
    logits, tokens = Responses(tiny_models.build(cfg).eval())(IMAGES)
    assert logits is not None
    assert [tuple(t.shape) for t in tokens] == [(2, 16, 128), (2, 1, 512)]


def test_hooks_go_when_the_model_fails(tmp_path):
    model = build('vit', tmp_path)
    model.backbone.layers[1].forward = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        Responses(model)(IMAGES)
    assert not any(module._forward_hooks for module in model.modules())


def test_models_without_a_backbone():
    with pytest.raises(ConfigError, match='Conv2d has no backbone'):
        Responses(nn.Conv2d(3, 4, 3))
