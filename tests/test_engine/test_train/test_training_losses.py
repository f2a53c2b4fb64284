"""Losses of training, by their formulas."""

import math
from types import SimpleNamespace

import pytest
import torch

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.train.losses import FeatureLoss, LabelLoss, LogitLoss
from iptq_mm.engine.train.passes import HEAD, Call, Passes


def _calls(*outputs):
    return [Call((), {}, [torch.as_tensor(x, dtype=torch.float32) for x in outputs])]


def _step(ours, theirs, dense=(), images=2, losses=None):
    return SimpleNamespace(
        images=images,
        regions=[name for name in theirs if name != HEAD],
        dense=frozenset(dense),
        own_losses=lambda: losses,
        trained=lambda: ours,
        teacher=lambda: theirs,
        replayed=ours.__getitem__,
    )


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_logits(temperature):
    ours, theirs = [[1.0, 0.0], [3.0, 3.0]], [[0.0, 2.0], [1.0, 1.0]]
    step = _step({HEAD: _calls(ours)}, {HEAD: _calls(theirs)})
    found = LogitLoss(temperature=temperature)(step)['loss_logits']
    p = 1 / (1 + math.exp(2 / temperature)), 1 / (1 + math.exp(-2 / temperature))
    q = 1 / (1 + math.exp(-1 / temperature)), 1 / (1 + math.exp(1 / temperature))
    first = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert found.item() == pytest.approx(first / 2 * temperature**2, rel=1e-5)


def test_logits_of_a_detector():
    step = _step({'backbone': _calls([[1.0]])}, {'backbone': _calls([[1.0]])})
    with pytest.raises(ConfigError, match="use 'features' or 'labels'"):
        LogitLoss()(step)


def test_features_of_images_and_of_boxes():
    """Images count alike; so do the outputs; boxes are compared as a whole."""
    theirs = {'a': _calls([[3.0, 4.0], [0.0, 2.0]]), 'b': _calls([[1.0], [0.0], [2.0]])}
    ours = {'a': _calls([[3.0, 3.0], [0.0, 0.0]]), 'b': _calls([[1.0], [1.0], [2.0]])}
    found = FeatureLoss()(_step(ours, theirs, dense=['a']))['loss_features']
    assert found.item() == pytest.approx(((1 / 25 + 1) / 2 + 1 / 5) / 2)
    found = FeatureLoss(regions=['b'])(_step(ours, theirs))['loss_features']
    assert found.item() == pytest.approx(1 / 5)
    with pytest.raises(ConfigError, match="no region 'c'"):
        FeatureLoss(regions=['c'])(_step(ours, theirs))


def test_features_without_proposals_and_of_another_shape():
    empty = {'a': _calls(torch.zeros(0, 4))}
    assert FeatureLoss()(_step(empty, empty)) == {}
    other = {'a': _calls(torch.zeros(1, 4))}
    with pytest.raises(ConfigError, match='cannot be compared'):
        FeatureLoss()(_step(other, {'a': _calls(torch.ones(2, 4))}))


def test_labels():
    parts = {
        'loss_a': torch.tensor([1.0, 3.0]),
        'loss_b': [torch.ones(()), torch.ones(2)],
    }
    found = LabelLoss()(_step({}, {}, losses={**parts, 'acc': torch.tensor(0.5)}))
    assert {k: v.item() for k, v in found.items()} == dict(loss_a=2, loss_b=2, acc=0.5)
    with pytest.raises(ConfigError, match="own loss 'loss_a' is float"):
        LabelLoss()(_step({}, {}, losses={'loss_a': 1.0}))


@pytest.mark.parametrize('make', [LogitLoss, FeatureLoss, LabelLoss])
def test_weights(make):
    assert make(weight=2.0).weight == 2.0
    with pytest.raises(ValueError, match='positive'):
        make(weight=0.0)
    with pytest.raises(ValueError, match='positive'):
        LogitLoss(temperature=-1.0)


class Detector(torch.nn.Module):
    """Features of the image, then a head on the boxes that it predicts."""

    def __init__(self, factor):
        super().__init__()
        self.backbone = torch.nn.Linear(2, 2, bias=False)
        self.roi = torch.nn.Linear(2, 1, bias=False)
        for part in (self.backbone, self.roi):
            torch.nn.init.constant_(part.weight, factor)

    def extract_feat(self, inputs):
        return self.backbone(inputs)

    def forward(self, inputs, data_samples, mode):
        data_samples.append('was written to')
        x = self.backbone(inputs)
        boxes = self.roi(x[:1])
        return {'loss': boxes.sum()} if mode == 'loss' else boxes


@pytest.mark.parametrize('labels', [True, False])
def test_passes_of_a_detector(labels):
    """Heads on boxes are given what the float model gave them."""
    ours, theirs = Detector(2.0), Detector(1.0)
    samples = []
    data = dict(inputs=torch.tensor([[1.0, 0.0], [0.0, 3.0]]), data_samples=samples)
    passes = Passes(ours, theirs, ['backbone', 'roi'], data, None, labels)
    assert passes.images == 2 and passes.dense == {'backbone'}
    (teacher,) = passes.teacher()['roi']
    assert teacher.outputs[0].tolist() == [[2.0]]
    assert not teacher.outputs[0].requires_grad
    (replayed,) = passes.replayed('roi')
    assert replayed.outputs[0].tolist() == [[4.0]]
    (dense,) = passes.trained()['backbone']
    assert dense.outputs[0].tolist() == [[2.0, 2.0], [6.0, 6.0]]
    FeatureLoss()(passes)['loss_features'].backward()
    assert all(p.grad.any() for p in ours.parameters())
    assert all(p.grad is None for p in theirs.parameters())
    assert samples == []
    if labels:
        assert passes.own_losses()['loss'].item() == 8.0
