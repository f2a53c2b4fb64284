"""Float and integer model side by side."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.evaluate import comparing_loop
from iptq_mm.engine.evaluate.output_comparison import OutputComparison
from iptq_mm.engine.evaluate.plain import plain
from iptq_mm.engine.evaluate.summary import summary
from iptq_mm.modes import Integer, Region
from iptq_mm.plan import RegionPlan

pytestmark = pytest.mark.usefixtures('one_thread')


def test_needs_a_hook_that_quantizes(vit_run, tmp_path):
    cfg = Config.fromfile(vit_run.config)
    cfg.test_cfg = dict(type='iptq_mm.ComparingLoop')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    with pytest.raises(ConfigError, match='no hook quantized the model'):
        Runner.from_cfg(cfg).test()


def test_model_that_is_quantized_already(vit_run, tmp_path):
    cfg = Config.fromfile(vit_run.folder / 'integer.py')
    cfg.test_cfg = dict(type='iptq_mm.ComparingLoop')
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    with pytest.raises(ConfigError, match='start from a float model'):
        Runner.from_cfg(cfg).test()


def test_twin_shares_the_float_tensors():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    twin = comparing_loop.twin(model)
    assert twin[0] is not model[0] and twin[0].weight is model[0].weight
    assert twin[1].running_mean is not model[1].running_mean
    model[0].weight = nn.Parameter(torch.zeros(4, 4))
    assert twin[0].weight.abs().sum() > 0


def _sample(score=None):
    sample = BaseDataElement()
    if score is not None:
        sample.pred_score = torch.tensor(score)
    return sample


def _comparison(names=('backbone',)):
    regions = {name: Region(name, Integer(RegionPlan('Identity'))) for name in names}
    model = nn.Module()
    for name in names:
        parent = model
        *path, last = name.split('.')
        for part in path:
            parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        parent.add_module(last, nn.Identity())
    return model, regions, OutputComparison(model, regions)


def test_sums_over_calls_and_batches():
    model, regions, comparison = _comparison()
    for scale in (1.0, 2.0):
        # A region called twice a batch, as heads are once a level.
        for _ in range(2):
            model.backbone(torch.full((2, 3), scale))
        for _ in range(2):
            regions['backbone'].on_output('backbone', [torch.full((2, 3), scale + 0.1)])
        comparison.compare([_sample([0.0, 1.0])], [_sample([0.0, scale - 1.5])])
    summary = comparison.summary()
    # Mean of squares 2.5 against 0.01.
    assert summary['output_sqnr_db'] == {'backbone:0': pytest.approx(23.98)}
    assert summary['agreement'] == 0.5
    assert regions['backbone'].on_output is None


def test_samples_without_scores_give_no_agreement():
    _, _, comparison = _comparison()
    comparison.compare([_sample()], [_sample()])
    summary = comparison.summary()
    assert 'agreement' not in summary and summary['output_sqnr_db'] == {}


def test_outputs_of_other_shape_have_no_counterpart():
    model, regions, comparison = _comparison(('backbone', 'roi_head.bbox_head'))
    model.backbone(torch.ones(2, 3))
    regions['backbone'].on_output('backbone', [torch.ones(5, 3)])
    regions['backbone'].on_output('backbone', [torch.ones(2, 3)])
    assert regions['roi_head.bbox_head'].on_output is None
    assert comparison.summary()['output_sqnr_db'] == {}


@pytest.mark.parametrize(('value', 'expected'), [(1.0, 300.0), (0.0, 300.0)])
def test_equal_outputs_are_finite(value, expected):
    model, regions, comparison = _comparison()
    model.backbone(torch.full((2,), value))
    regions['backbone'].on_output('backbone', [torch.full((2,), value)])
    assert comparison.summary()['output_sqnr_db'] == {'backbone:0': expected}


def test_report_of_odd_metrics(vit_run):
    """Lists and metrics that only one model has do not stop it."""

    class Quantized:
        records: dict = {}

    results = copy.deepcopy(vit_run.results)
    results['assignment'] = {}
    results['float'] = {'list': [1.0, 2.0], 'a': 1.0, 'text': 'x', 'gone': None}
    results['integer'] = {'list': [1.0], 'a': 0.5, 'b': 2.0}
    text = summary(results, Quantized(), vit_run.folder)
    assert 'list' not in text and '-0.5000' in text and 'nan' in text


def test_plain_metrics():
    metrics = {
        'tensor': torch.tensor([[1, 2]]),
        'scalar': torch.tensor(0.25),
        'nested': {1: (1, None)},
        'text': 'x',
    }
    assert plain(metrics) == {
        'tensor': [[1.0, 2.0]],
        'scalar': 0.25,
        'nested': {'1': [1.0, None]},
        'text': 'x',
    }
