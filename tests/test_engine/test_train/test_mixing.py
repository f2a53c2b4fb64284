"""Images of a batch that are mixed with each other."""

import random
import sys

import numpy as np
import pytest
import torch

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.train.checks import built_mixing
from iptq_mm.engine.train.config import TrainingConfig
from iptq_mm.engine.train.images import Mixing, seed_random
from iptq_mm.engine.train.losses import FeatureLoss, LabelLoss

MIXUP, CUTMIX = dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)


def _images():
    # Image i holds i alone: what is mixed shows from which images it is.
    return torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8).clone()


def _mixed(augments, seed):
    seed_random(seed)
    return Mixing(augments)(_images())


def test_mixup_weighs_two_images():
    found = torch.stack([_mixed([MIXUP], seed) for seed in range(20)])
    assert (found == found[..., :1, :1, :1]).all()  # each image is of one value still
    assert ((found >= 0) & (found <= 3)).all()
    assert (found != found.round()).any()
    # What is mixed is a permutation of the batch: the mean stays.
    torch.testing.assert_close(found.mean((1, 2, 3, 4)), torch.full((20,), 1.5))


def test_cutmix_pastes_pieces():
    found = torch.stack([_mixed([CUTMIX], seed) for seed in range(20)])
    assert (found == found.round()).all()
    assert any(len(image.unique()) == 2 for images in found for image in images)


def test_one_of_several_is_drawn_and_a_seed_decides():
    drawn = [_mixed([MIXUP, CUTMIX], seed) for seed in range(20)]
    whole = [bool((x == x.round()).all()) for x in drawn]
    assert any(whole) and not all(whole)
    for seed, before in enumerate(drawn):
        assert torch.equal(before, _mixed([MIXUP, CUTMIX], seed))


def test_nothing_to_mix_with():
    random.seed(0), np.random.seed(0)
    assert torch.equal(Mixing([])(_images()), _images())
    one = _images()[1:2]
    assert torch.equal(Mixing([MIXUP])(one), one)


@pytest.mark.parametrize(
    ('augment', 'message'),
    [
        (dict(type='Mixop', alpha=0.8), 'Mixop'),
        (dict(type='Mixup'), 'alpha'),
        (dict(type='Mixup', alpha=-1.0), 'cannot be built'),
        (dict(alpha=0.8), 'type'),
    ],
)
def test_mistakes(augment, message):
    with pytest.raises(ConfigError, match=f'qat.mix.*{message}'):
        Mixing([augment])


def test_without_mmpretrain(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmpretrain.registry', None)
    with pytest.raises(ConfigError, match='mmpretrain, which.*cannot be imported'):
        Mixing([MIXUP])


def test_labels_are_not_mixed():
    settings = TrainingConfig({}, {}, mix=[MIXUP])
    assert isinstance(built_mixing(settings, [FeatureLoss()]), Mixing)
    with pytest.raises(ConfigError, match=r"qat.loss has 'labels'.*batch_augments"):
        built_mixing(settings, [FeatureLoss(), LabelLoss()])
    assert built_mixing(TrainingConfig({}, {}), [LabelLoss()]) is None
