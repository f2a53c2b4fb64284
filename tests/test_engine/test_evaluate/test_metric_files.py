"""Metrics of the float and of the integer model never write to the same path."""

import inspect
import os
import re

import pytest
from mmengine.evaluator import BaseMetric, DumpResults, Evaluator

from iptq_mm.engine.evaluate import metric_files
from iptq_mm.engine.evaluate.metric_files import float_evaluator, taken_dumps

#: Parameters of mm's metrics that sound like places to write to, and are read instead.
READ = {
    'ann_file',
    'collect_dir',  # of partial results, made anew for each metric
    'ann_path',
    'img_prefix',
    'seg_prefix',
    'prefix',
    'proposal_nums',
    'file_client_args',
    'data_root',
    'dataset_path',
    'dump_matches',
}


class Metric(BaseMetric):
    def __init__(self, **places):
        super().__init__()
        vars(self).update(places)

    def process(self, data_batch, data_samples):
        pass

    def compute_metrics(self, results):
        return {}


def test_every_place_moves(tmp_path):
    os.makedirs(tmp_path / 'made')
    places = {name: str(tmp_path / 'made') for name in metric_files.PLACES}
    places |= {name: str(tmp_path / 'a.pkl') for name in metric_files.FILES}
    metric = Metric(**places)
    twin = float_evaluator(Evaluator([metric])).metrics[0]
    for name, place in places.items():
        assert getattr(metric, name) == place
        assert getattr(twin, name) != place
    assert twin.outfile_path == str(tmp_path / 'a_float.pkl')
    assert os.path.isdir(twin.outfile_prefix)


def test_no_place_stays_none():
    twin = float_evaluator(Evaluator([Metric(outfile_prefix=None, save_dir='')]))
    assert twin.metrics[0].outfile_prefix is None and twin.metrics[0].save_dir == ''


def test_predictions_are_the_integer_models(tmp_path):
    evaluator = Evaluator([DumpResults(out_file_path=str(tmp_path / 'a.pkl'))])
    assert not float_evaluator(evaluator).metrics
    assert len(evaluator.metrics) == 1
    assert len(taken_dumps(evaluator)) == 1 and not evaluator.metrics


@pytest.mark.parametrize('package', ['mmdet', 'mmpretrain'])
def test_all_of_mm_are_known(package):
    """A parameter of a metric that names a place to write to is known here."""
    registry = __import__(f'{package}.registry', fromlist=['METRICS']).METRICS
    registry.import_from_location()
    known = {*metric_files.PLACES, *metric_files.FILES, *READ}
    found, unknown = 0, []
    for name, metric in registry.module_dict.items():
        if isinstance(metric, type) and issubclass(metric, DumpResults):
            continue
        for parameter in inspect.signature(metric).parameters:
            sounds = re.search(r'out|save|dump|dir|path|file|prefix', parameter)
            if not sounds or parameter.startswith('with'):
                continue
            found += 1
            own = metric_files.FILES_OF.get(name, ())
            if parameter not in known and parameter not in own:
                unknown.append(f'{name}.{parameter}')
    assert found > 3 and unknown == []
