"""What a model keeps of the images it saw: not of those of calibration."""

import copy

import pytest
import tiny_models
import torch
from derived_models import Derives
from mmengine import load
from region_models import config, rows, same
from tiny_runs import run_test
from torch import nn

from iptq_mm.engine.evaluate.comparing_loop import twin as made_twin
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.modes.install import PLAN_KEY, install
from iptq_mm.plan import RegionPlan


class Keeps(nn.Module):
    """A region, and something that remembers what came out of it."""

    def __init__(self):
        super().__init__()
        self.backbone = Derives()
        self.prepare()

    def prepare(self):
        pass

    def test_step(self, x):
        with torch.no_grad():
            return self(x)

    def forward(self, x):
        return self.remembered(self.backbone(x))


class Gallery(Keeps):
    """As ImageToImageRetriever: made at the first call, of images of its own."""

    inited = False

    def remembered(self, y):
        if not self.inited:
            features = self.backbone(rows(2, 5, seed=9))
            self.register_buffer('gallery', features, persistent=False)
            self.inited = True
        return y @ self.gallery.flatten(0, 1).T


class Queue(Keeps):
    """As MoCo's: a buffer written in place, and where it goes on."""

    def prepare(self):
        self.register_buffer('queue', torch.ones(4, 16))
        self.register_buffer('pointer', torch.zeros(1, dtype=torch.long))

    def remembered(self, y):
        result = y @ self.queue.T
        self.queue[self.pointer] = y[:1, 0]
        self.pointer.copy_((self.pointer + 1) % 4)
        return result


class Average(Keeps):
    def prepare(self):
        self.norm = nn.BatchNorm1d(16)
        self.mean = torch.zeros(16)

    def remembered(self, y):
        self.mean.mul_(0.9).add_(0.1 * y.mean((0, 1)))
        self.norm.train()(y.flatten(0, 1))
        return y - self.mean + self.norm.running_mean


class Lists(Keeps):
    def prepare(self):
        self.seen, self.by_name, self.count = [], {'all': {}}, [0]

    def remembered(self, y):
        self.seen.append(y)
        self.by_name['all'].setdefault('first', y)
        self.count[0] += 1
        return y + self.by_name['all']['first'] + self.count[0] + sum(self.seen)


class Objects(Keeps):
    class Memory:
        def __init__(self):
            self.bank = {}

    def prepare(self):
        self.memory, self.noise = self.Memory(), torch.Generator().manual_seed(0)

    def remembered(self, y):
        self.memory.bank.setdefault('y', y)
        return y * self.memory.bank['y'] + torch.rand(y.shape, generator=self.noise)


KINDS = [Gallery, Queue, Average, Lists, Objects]


@pytest.mark.parametrize('kind', KINDS)
def test_the_run_gives_what_the_written_model_gives(kind):
    model, fresh = kind(), kind()
    quantize_model(model, config(), [rows(seed=3), rows(seed=4)])
    state = model.backbone.state_dict()
    install('backbone', fresh.backbone, RegionPlan.from_tensor(state[PLAN_KEY]))
    fresh.backbone.load_state_dict(state)
    for seed in range(3):
        assert same(model.test_step(rows(seed=seed)), fresh.test_step(rows(seed=seed)))


@pytest.mark.parametrize('kind', KINDS)
def test_the_float_twin_keeps_its_own(kind):
    model = kind()
    if kind is Objects and not hasattr(torch.Generator, 'clone_state'):
        pytest.skip('this torch cannot copy random generators')
    expected = [copy.deepcopy(model).test_step(rows(seed=7)) for _ in range(2)]
    twin = made_twin(model)
    assert same(twin.test_step(rows(seed=7)), expected[0])
    assert same(model.test_step(rows(seed=7)), expected[1])
    parameters = zip(twin.parameters(), model.parameters(), strict=True)
    assert all(a is b for a, b in parameters)


@pytest.mark.slow
@pytest.mark.usefixtures('one_thread')
def test_image_retriever(tiny_data, tmp_path):
    """The features of its prototypes are those of the model that is written."""
    cfg = tiny_models.vit(tiny_data / 'classification')
    meta = ('sample_idx', 'img_path', 'ori_shape', 'img_shape')
    for split in 'train', 'test':
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        pipeline[-1] = dict(type='PackInputs', meta_keys=meta)
    cfg.model = dict(
        type='ImageToImageRetriever',
        image_encoder=cfg.model.backbone,
        head=dict(type='LinearClsHead', num_classes=3, in_channels=128),
        prototype=cfg.train_dataloader,
    )
    cfg.data_preprocessor.num_classes = 9
    cfg.test_evaluator = dict(type='RetrievalRecall', topk=1)
    cfg.quantization.update(regions=['image_encoder'], weight=dict(bits=4))
    config, _ = tiny_models.write(cfg, tmp_path, 'retriever')
    out = tmp_path / 'out.pkl'
    quantize_and_compare(config, work_dir=str(tmp_path / 'run'), out=str(out))
    _, again = run_test(str(tmp_path / 'run' / 'integer.py'), tmp_path / 'again')
    for mine, other in zip(load(out), again, strict=True):
        assert torch.equal(mine['pred_score'], other['pred_score'])
