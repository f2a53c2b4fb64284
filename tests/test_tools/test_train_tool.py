"""tools/train.py: its options, and what it says to wrong input."""

from pathlib import Path

import mmengine
import pytest
import tiny_models
import tiny_training
import torch

from iptq_mm.engine.quantize import phases
from iptq_mm.engine.train import hook
from iptq_mm.engine.train.losses import LogitLoss
from iptq_mm.registry import TRAINING_LOSSES

TOOL = Path(__file__).parents[2] / 'tools/train.py'

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]

SHORT = dict(
    loss='logits',
    train_cfg=dict(by_epoch=True, max_epochs=1, val_interval=1),
    checkpoint=dict(interval=2),
    custom_hooks=[],
)


@pytest.fixture
def config(tiny_data, tmp_path):
    """Writes a changed config of a tiny ViT that is trained."""

    def write(change=lambda cfg: None, **qat):
        cfg = tiny_training.vit(tiny_data / 'classification', **{**SHORT, **qat})
        path, _ = tiny_models.write(cfg, tmp_path, 'vit')
        change(cfg)
        cfg.dump(path)
        return path

    return write


@pytest.fixture
def refused(tool, config, monkeypatch):
    """Runs the tool with wrong input, which it finds before calibration."""

    def run(change=lambda cfg: None, *arguments, **qat):
        monkeypatch.setattr(phases, 'observe', None)
        ran = tool(config(change, **qat), *arguments)
        assert ran.code == 1 and not list(Path().rglob('quantized.pth'))
        return ran.mistake

    return run


def test_options(tool, config, tmp_path):
    arguments = [config(), tmp_path / 'vit.pth', '--work-dir', 'there']
    options = ['--cfg-options', 'qat.train_cfg.val_interval=7']
    assert tool(*arguments, '--out', 'predictions.pkl', *options).code == 0
    results = mmengine.load('there/results.json')
    assert results['training']['settings']['train_cfg']['val_interval'] == 7
    assert len(mmengine.load('predictions.pkl')) == 6
    again = tool(*arguments, '--resume', '--backend', 'reference', *options)
    assert again.code == 0 and 'the model is quantized already' in again.out
    assert "backend='reference'" in Path('there/integer.py').read_text()
    assert mmengine.load('there/results.json')['training']['iterations'] == 5


def test_configs_that_cannot_be_trained(refused):
    def said(change):
        return refused(change)

    assert 'has no quantization dict' in said(lambda cfg: cfg.pop('quantization'))
    assert 'has no qat dict' in said(lambda cfg: cfg.pop('qat'))
    assert 'qat.optim_wrapper is missing' in said(lambda c: c.qat.pop('optim_wrapper'))
    assert 'has no train_dataloader' in said(lambda cfg: cfg.pop('train_dataloader'))

    def compiled(cfg):
        cfg.compile = True

    assert 'compile has to go' in said(compiled)

    def wrapped(cfg):
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel')

    assert 'model_wrapper_cfg has to go' in said(wrapped)
    assert 'without mixed precision' in refused(lambda cfg: None, '--amp')


def test_what_is_quantized_already(tool, refused, trained_folder):
    ran = tool(trained_folder / 'integer.py', '--work-dir', 'other')
    assert 'quantized already: train the float config' in ran.mistake

    def change(cfg):
        cfg.load_from = str(trained_folder / 'integer.pth')

    assert 'the checkpoint is quantized already' in refused(change)
    assert 'checkpoint is quantized already' in refused(
        lambda cfg: None, trained_folder / 'iter_10.pth'
    )


@pytest.fixture
def trained_folder(tiny_data, tmp_path_factory, tool):
    """A work dir with a trained model."""
    folder = tmp_path_factory.mktemp('trained')
    cfg = tiny_training.vit(tiny_data / 'classification')
    path, _ = tiny_models.write(cfg, folder, 'vit')
    assert tool(path, '--work-dir', folder / 'run').code == 0
    return folder / 'run'


def test_images(refused):
    def unlabelled(cfg):
        cfg.train_dataloader.dataset.with_label = False

    message = refused(unlabelled, loss='labels')
    assert 'the float model gives no LabelLoss for the first training' in message
    assert "trained on by qat.loss='logits'" in message

    def evaluated(cfg):
        cfg.train_dataloader.dataset.data_prefix = 'val'

    message = refused(evaluated)
    assert 'training would see images of the evaluation: 6 of 6' in message

    def missing(cfg):
        cfg.qat.train_dataloader.dataset = dict(data_prefix='nowhere')

    assert 'the training images cannot be read' in refused(missing)

    def metric(cfg):
        cfg.val_evaluator = dict(type='mmdet.VOCMetric')

    assert 'the metrics of val_evaluator (VOCMetric) cannot take' in refused(metric)


def test_images_without_labels(tool, config):
    """They suffice for the logits; mixing images needs labels, and is left out."""

    def unlabelled(cfg):
        cfg.train_dataloader.dataset.with_label = False

    assert tool(config(unlabelled)).code == 0


def test_no_parameters(refused):
    def neck(cfg):
        cfg.model.backbone.out_type = 'featmap'
        cfg.model.neck = dict(type='GlobalAveragePooling')
        cfg.model.head = dict(type='LinearClsHead', num_classes=3, in_channels=32)
        cfg.quantization.regions = ['neck']
        cfg.load_from, cfg.random_weights = None, True

    assert 'no transformer in the regions' in refused(neck)


def test_a_region_without_gradients(tool, config, monkeypatch):
    monkeypatch.setattr(hook, '_PATIENCE', 3)
    loss = dict(type='features', regions=['backbone'])
    ran = tool(config(loss=loss))
    assert "the regions ['head'] have got no gradient" in ran.mistake
    assert list(Path().rglob('iter_2.pth'))


@pytest.mark.parametrize('what', ['loss', 'gradient'])
def test_what_is_not_finite(tool, config, monkeypatch, what):
    """The run stops with the images and keeps its checkpoints."""

    class Broken(LogitLoss):
        calls = 0

        def __call__(self, step):
            Broken.calls += 1
            found = super().__call__(step)['loss_logits']
            if Broken.calls == 5:  # the first one is the rehearsal's
                if what == 'loss':
                    found = found / 0
                else:
                    found.register_hook(lambda grad: grad * torch.inf)
            return {'loss_logits': found}

    monkeypatch.setitem(TRAINING_LOSSES.module_dict, 'logits', Broken)
    message = tool(config()).mistake
    if what == 'loss':
        assert 'the loss is' in message
    else:
        assert "the gradient of 'backbone" in message
    assert 'in iteration 4 of 5' in message and '.png' in message
    assert 'smaller learning rate' in message
    (kept,) = Path().rglob('iter_2.pth')
    state = torch.load(kept, weights_only=False)
    assert state['meta']['iter'] == 2
