"""The wrapper around a model in training."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from region_models import FAMILIES, config, images, quantized, same

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.train import gradients
from iptq_mm.engine.train.losses import FeatureLoss, LabelLoss
from iptq_mm.engine.train.trainee import Trainee
from iptq_mm.modes import bound_region
from iptq_mm.modes.training import Training, begin_training, end_training
from iptq_mm.statistics import NotFiniteError


class Model(torch.nn.Module):
    """As mm has them: a region, a float part that drops, and a preprocessor."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.last = torch.nn.Sequential(torch.nn.Linear(32, 2), torch.nn.Dropout(0.5))

    def data_preprocessor(self, data, training):
        self.augmented = training
        return {'inputs': data['inputs'], 'data_samples': data.get('data_samples')}

    def extract_feat(self, inputs):
        return self.backbone(inputs)[-1]

    def forward(self, inputs, data_samples=None, mode='tensor'):
        out = self.last(self.extract_feat(inputs))
        return {'loss': out.square().mean()} if mode == 'loss' else out

    def val_step(self, data):
        return self(data['inputs'])

    test_step = val_step


@pytest.fixture(scope='module')
def models():
    """The model in training, and the float one."""
    backbone = FAMILIES['vit']()
    with torch.no_grad():
        float_model = Model(copy.deepcopy(backbone)).eval()
        integer = quantized(backbone, [images(4, 3, 32, 32)], config())
        model = copy.deepcopy(float_model)
        model.backbone = integer.backbone
    begin_training(model.backbone)
    return model, float_model


@pytest.fixture
def trainee(models):
    def make(losses=None, **options):
        model, float_model = map(copy.deepcopy, models)
        return Trainee(model, float_model, losses or [FeatureLoss()], **options)

    return make


def _optimizer(trainee, lr=0.01, **options):
    parameters = [p for _, p in trainee.trained]
    return OptimWrapper(torch.optim.SGD(parameters, lr=lr), **options)


def _data(seed=1):
    sample = SimpleNamespace(img_path='somewhere/a.png')
    return {'inputs': images(2, 3, 32, 32, seed=seed), 'data_samples': [sample] * 2}


def test_what_it_holds(trainee):
    wrapper = trainee()
    assert is_model_wrapper(wrapper)
    own = {f'module.{key}' for key in wrapper.module.state_dict()}
    assert set(wrapper.state_dict()) == own
    names = {name for name, _ in wrapper.trained}
    inside = {f'backbone.{n}' for n, _ in wrapper.module.backbone.named_parameters()}
    assert names == inside
    assert not any(p.requires_grad for p in wrapper.module.last.parameters())
    everything = trainee(everything=True)
    assert {n for n, _ in everything.trained} == inside | {
        'last.0.weight',
        'last.0.bias',
    }


def test_both_models_see_the_mixed_images(trainee):
    plain = trainee(losses=[FeatureLoss()])
    mixing = trainee(losses=[FeatureLoss()], mixing=lambda x: x.flip(0) * 0.5)
    data, given = _data(), _data()
    given['inputs'] = given['inputs'].flip(0) * 0.5
    assert torch.equal(mixing.loss(data)[0], plain.loss(given)[0])
    assert not torch.equal(mixing.loss(data)[0], plain.loss(data)[0])


@pytest.mark.parametrize('everything', [False, True])
def test_modes_of_modules(trainee, everything):
    wrapper = trainee(everything=everything).train()
    assert wrapper.training
    assert wrapper.module.last.training is everything
    assert not any(m.training for m in wrapper.module.backbone.modules())
    assert not wrapper.eval().training and not wrapper.module.last.training


def test_a_step(trainee):
    wrapper = trainee().train()
    before = [p.detach().clone() for _, p in wrapper.trained]
    kept = copy.deepcopy(wrapper.module.last.state_dict())
    optimizer = _optimizer(wrapper)
    losses = [float(wrapper.train_step(_data(), optimizer)['loss']) for _ in range(4)]
    assert all(loss > 0 for loss in losses) and len(set(losses)) > 1
    moved = [
        not torch.equal(a, p) for a, (_, p) in zip(before, wrapper.trained, strict=True)
    ]
    assert sum(moved) > 10
    assert same(list(kept.values()), list(wrapper.module.last.state_dict().values()))
    assert wrapper.without_gradient == []
    assert wrapper.module.augmented is False


def test_labels(trainee):
    wrapper = trainee([LabelLoss(weight=3.0), FeatureLoss(weight=0.5)])
    total, shown = wrapper.loss(_data())
    assert wrapper.module.augmented is True
    own = wrapper.module(_data()['inputs'], mode='loss')['loss']
    expected = 3 * own + 0.5 * shown['loss_features']
    torch.testing.assert_close(total, expected)


def test_accumulated_gradients(trainee):
    """The parameters change with every second batch, by the mean of both."""
    wrapper = trainee()
    optimizer = _optimizer(wrapper, accumulative_counts=2)
    name, parameter = wrapper.trained[-1]
    before = parameter.detach().clone()
    wrapper.train_step(_data(1), optimizer)
    assert torch.equal(parameter, before) and wrapper.without_gradient
    wrapper.train_step(_data(2), optimizer)
    other = trainee()
    both = {'inputs': torch.cat([_data(1)['inputs'], _data(2)['inputs']])}
    other.train_step(both, _optimizer(other))
    assert not torch.equal(parameter, before)
    torch.testing.assert_close(parameter, dict(other.trained)[name])


@pytest.mark.parametrize('backend', [None, 'reference'])
def test_integers(trainee, backend):
    wrapper = trainee(backend=backend).train()
    wrapper.train_step(_data(), _optimizer(wrapper))
    wrapper.eval()
    expected = copy.deepcopy(wrapper.module)
    end_training(expected.backbone)
    data = _data(7)
    with torch.no_grad():
        assert same(wrapper.val_step(data), expected.val_step(data))
        assert same(wrapper.test_step(data), wrapper(data['inputs']))
    first = wrapper.integers()
    assert wrapper.integers() is first
    assert not any(p.is_floating_point() for p in first.backbone.parameters())
    assert isinstance(bound_region(wrapper.module.backbone).mode, Training)
    assert wrapper.train().integers() is not first


class Nothing(FeatureLoss):
    def __call__(self, step):
        return {'loss_features': super().__call__(step)['loss_features'] * torch.nan}


class Steep(FeatureLoss):
    def __call__(self, step):
        found = super().__call__(step)['loss_features']
        found.register_hook(lambda grad: grad * torch.inf)
        return {'loss_features': found}


@pytest.mark.parametrize('loss', [Nothing, Steep])
def test_what_is_not_finite(trainee, loss):
    wrapper = trainee([loss()])
    wrapper.place = 'in iteration 3 of 9'
    before = [p.detach().clone() for _, p in wrapper.trained]
    match = r'in iteration 3 of 9 \(images: somewhere/a.png, somewhere/a.png\): the '
    with pytest.raises(NotFiniteError, match=match):
        wrapper.train_step(_data(), _optimizer(wrapper))
    assert all(
        torch.equal(a, p) for a, (_, p) in zip(before, wrapper.trained, strict=True)
    )


def test_nothing_to_minimize(trainee):
    class Empty(FeatureLoss):
        def __call__(self, step):
            return {}

    with pytest.raises(ConfigError, match='nothing to minimize'):
        trainee([Empty()]).loss(_data())


def test_gradients_of_several_processes(monkeypatch):
    """One that a process did not use is 0 there; one that none used stays away."""
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(3)]
    parameters[0].grad = torch.tensor([1.0, 3.0])
    others = [torch.tensor([3.0, 5.0]), torch.tensor([4.0, 0.0])]

    def all_reduce(used, op):
        assert op == 'max'
        used.copy_(torch.tensor([1, 1, 0], dtype=torch.uint8))

    def all_reduce_params(found, op):
        assert op == 'mean' and len(found) == 2
        for mine, other in zip(found, others, strict=True):
            mine.add_(other).div_(2)

    gradients.average_gradients(parameters)
    assert parameters[1].grad is None
    monkeypatch.setattr(gradients.dist, 'get_world_size', lambda: 2)
    monkeypatch.setattr(gradients.dist, 'all_reduce', all_reduce)
    monkeypatch.setattr(gradients.dist, 'all_reduce_params', all_reduce_params)
    gradients.average_gradients(parameters)
    assert parameters[0].grad.tolist() == [2.0, 4.0]
    assert parameters[1].grad.tolist() == [2.0, 0.0]
    assert parameters[2].grad is None
