import pytest
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.datasets.synthetic import NoiseImages
from iptq_mm.engine.synthetic_optimization import (
    logits_of,
    optimize_images,
    total_variation,
)

pytestmark = pytest.mark.usefixtures('one_thread')
TARGETS = torch.tensor([0, 1, 2, 0, 1])


@pytest.fixture(scope='module', params=['vit', 'swin'])
def model(request, tmp_path_factory):
    torch.manual_seed(0)
    return tiny_models.build(getattr(tiny_models, request.param)(tmp_path_factory))


@pytest.fixture(scope='module')
def images():
    data = NoiseImages(5, (32, 32), pipeline=[])
    return torch.stack([torch.from_numpy(i['img']).permute(2, 0, 1) for i in data])


def loss(model, images, targets=TARGETS):
    with torch.no_grad():
        return nn.functional.cross_entropy(logits_of(model, images.float()), targets)


def test_images_come_to_show_their_classes(model, images):
    before = loss(model, images)
    made = optimize_images(model, images, TARGETS, steps=40, batch_size=2)
    assert made.shape == images.shape and made.dtype == torch.uint8
    assert loss(model, made) < 0.7 * before
    others = torch.tensor([1, 2, 0, 2, 0])
    assert loss(model, made, others) > loss(model, images, others)


def test_same_arguments_give_the_same_images(model, images):
    first, second, other = (
        optimize_images(model, images, TARGETS, steps=2, seed=seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_smoothness_counts(model, images):
    rough, smooth = (
        optimize_images(model, images, TARGETS, steps=10, smoothness=weight)
        for weight in (0.0, 1000.0)
    )
    assert total_variation(smooth / 255.0) < 0.8 * total_variation(rough / 255.0)


def test_no_steps_change_nothing(model, images):
    assert torch.equal(optimize_images(model, images, TARGETS, steps=0), images)


def test_the_model_stays_as_it_was(model, images):
    names = [name for name, _ in model.named_parameters()]
    model.get_parameter(names[0]).requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    optimize_images(model, images, TARGETS, steps=1)
    assert model.training and all(m.training for m in model.modules())
    model.eval()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    wanted = [p.requires_grad for p in model.parameters()]
    assert wanted == [False] + [True] * (len(wanted) - 1)
    assert all(p.grad is None for p in model.parameters())


def test_logits_are_those_of_a_prediction(model, images):
    with torch.no_grad():
        scores = logits_of(model, images.float()).softmax(1)
        predicted = model.test_step({'inputs': list(images)})
    assert torch.allclose(scores, torch.stack([p.pred_score for p in predicted]))


@pytest.mark.parametrize('target', [-1, 3])
def test_classes_that_there_are_not(model, images, target):
    with pytest.raises(ConfigError, match='3 classes only'):
        optimize_images(model, images, TARGETS.clamp(1).fill_(target))


def test_models_without_classes(images, tmp_path):
    for other in (
        tiny_models.build(tiny_models.mask_rcnn(tmp_path)),
        nn.Conv2d(3, 4, 3),
    ):
        with pytest.raises(ConfigError, match='no logits of classes'):
            optimize_images(other, images, TARGETS, steps=1)


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.integers(2, 9), st.integers(2, 9))
def test_total_variation_of_a_ramp_is_its_slope(down, right, height, width):
    y, x = torch.arange(height)[:, None], torch.arange(width)
    found = total_variation((down * y + right * x)[None, None])
    assert abs(float(found) - (down**2 + right**2) ** 0.5) < 4e-3


def test_total_variation_has_a_gradient_where_nothing_varies():
    flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    total_variation(flat).backward()
    assert flat.grad is not None and flat.grad.isfinite().all()
