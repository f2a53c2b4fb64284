import numpy as np
import pytest
import tiny_models
import torch
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.datasets.synthetic import NoiseImages
from iptq_mm.engine.synthetic.losses import patch_similarity_entropy, total_variation
from iptq_mm.engine.synthetic.optimization import optimize_images
from iptq_mm.engine.synthetic.responses import Responses

pytestmark = pytest.mark.usefixtures('one_thread')
TARGETS = torch.tensor([0, 1, 2, 0, 1])


@pytest.fixture(scope='module', params=['vit', 'swin'])
def model(request, tmp_path_factory):
    torch.manual_seed(0)
    return tiny_models.build(getattr(tiny_models, request.param)(tmp_path_factory))


def sampled(side):
    data = NoiseImages(5, (side, side))
    return torch.stack([torch.from_numpy(i['img']).permute(2, 0, 1) for i in data])


@pytest.fixture(scope='module')
def images():
    return sampled(32)


def optimized(model, images, seed=0, **options):
    rng = np.random.default_rng(seed)
    return optimize_images(model, images, TARGETS, rng, **options)


@torch.no_grad()
def class_loss(model, images, targets=TARGETS):
    logits, _ = Responses(model)(images.float())
    return nn.functional.cross_entropy(logits, targets)


@torch.no_grad()
def spread(model, images):
    _, tokens = Responses(model)(images.float())
    return torch.stack([patch_similarity_entropy(t).mean() for t in tokens]).mean()


def test_images_come_to_show_their_classes(model, images):
    before = class_loss(model, images)
    made = optimized(model, images, steps=40, step_size=6.0)
    assert made.shape == images.shape and made.dtype == torch.uint8
    assert class_loss(model, made) < 0.8 * before
    others = torch.tensor([1, 2, 0, 2, 0])
    assert class_loss(model, made, others) > class_loss(model, images, others)


def test_same_arguments_give_the_same_images(model, images):
    first, second, other = (
        optimized(model, images, seed, steps=2) for seed in (0, 0, 1)
    )
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_smoothness_counts(model, images):
    rough, smooth = (
        optimized(model, images, steps=10, step_size=6.0, smoothness=weight)
        for weight in (0.0, 1000.0)
    )
    assert total_variation(smooth / 255.0) < 0.8 * total_variation(rough / 255.0)


def test_entropy_counts(model, images):
    without, much = (
        optimized(model, images, steps=15, entropy=weight) for weight in (0.0, 100.0)
    )
    assert spread(model, much) > spread(model, without) + 0.05


@pytest.mark.parametrize('side', [32, 64])
def test_a_detector_spreads_the_similarities(tmp_path, side):
    torch.manual_seed(0)
    model = tiny_models.build(tiny_models.mask_rcnn(tmp_path)).eval()
    images = sampled(side)
    made = optimized(model, images, steps=15, entropy=10.0)
    assert spread(model, made) > spread(model, images) + 0.02


def test_no_steps_change_nothing(model, images):
    assert torch.equal(optimized(model, images, steps=0), images)


def test_the_model_stays_as_it_was(model, images):
    names = [name for name, _ in model.named_parameters()]
    model.get_parameter(names[0]).requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    model.head.eval()
    optimized(model, images, steps=1)
    assert model.training and model.backbone.training and not model.head.training
    model.eval()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    wanted = [p.requires_grad for p in model.parameters()]
    assert wanted == [False] + [True] * (len(wanted) - 1)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize('target', [-1, 3])
def test_classes_that_there_are_not(model, images, target):
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match='3 classes only'):
        optimize_images(model, images, TARGETS.clone().fill_(target), rng, steps=1)
