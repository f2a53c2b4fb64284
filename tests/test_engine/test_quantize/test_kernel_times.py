"""Measured times as the cost of candidates."""

import pytest
from region_models import SEVERAL, Net, config, images, mmdet_swin, vit

from iptq_mm.calibration import ConfigError, analyse, assign, observe
from iptq_mm.engine.quantize import kernel_times
from iptq_mm.engine.quantize.kernel_times import (
    check_times,
    measure_times,
    wants_times,
)
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.native.library import available
from iptq_mm.record import RegionRecord

pytestmark = [
    pytest.mark.usefixtures('no_grad'),
    pytest.mark.skipif(not available(), reason='no native library'),
]
NANOSECONDS = dict(type='unified_metric', cost='nanoseconds')


def analysed(module):
    net, cfg = Net(module), config(SEVERAL, criterion=NANOSECONDS)
    batches = [images(2, 3, 32, 32)]
    records = observe(net, cfg, net, batches)
    analyse(net, cfg, records, net, batches)
    return net, cfg, records


@pytest.fixture
def asked(monkeypatch):
    """The functions that were to be measured together; the n-th one takes n ns."""
    groups = []

    def times(functions):
        groups.append(functions)
        return [float(n) for n in range(1, 1 + len(functions))]

    monkeypatch.setattr(kernel_times, 'function_times', times)
    return groups


def test_sites_of_the_same_shape_are_measured_once(asked):
    net, cfg, records = analysed(vit())
    measure_times(net, cfg, records)
    record = records['backbone']
    # One for GELU, one for Softmax, and LayerNorms before matrix products and at the
    # end, whose output has more bits.
    shapes = [(g[0].kind, g[0].rows, g[0].length) for g in asked]
    assert shapes.count(('gelu', 17, 64)) == shapes.count(('softmax', 34, 17)) == 1
    assert shapes.count(('layer_norm', 17, 32)) == 2 and len(shapes) == 4
    for site, candidates in record.candidates.items():
        names = list(candidates)
        assert [candidates[n].nanoseconds for n in names] == list(
            range(1, 1 + len(names))
        )
        assert record.rows[site]
    kept = RegionRecord.from_state_dict(record.state_dict())
    assert kept.candidates == record.candidates and kept.rows == record.rows
    # The criterion counts them: the first one that was measured is the cheapest.
    cheapest = config(SEVERAL, criterion=dict(type='cost', cost='nanoseconds'))
    plan = assign(net, cheapest, records)['backbone']
    for site, candidates in record.candidates.items():
        assert plan.sites[site].function['type'] == next(iter(candidates))


def test_all_processes_have_the_times_of_the_first_one(asked, monkeypatch):
    net, cfg, records = analysed(vit())
    sent = []
    broadcast = 'broadcast_object_list'
    monkeypatch.setattr(kernel_times.dist, broadcast, lambda x: sent.extend(x))
    measure_times(net, cfg, records)
    measured = len(asked)
    others = analysed(vit())[2]
    monkeypatch.setattr(kernel_times.dist, 'is_main_process', lambda: False)
    monkeypatch.setattr(
        kernel_times.dist, broadcast, lambda x: x.__setitem__(slice(None), sent)
    )
    measure_times(net, cfg, others)
    assert len(asked) == measured
    assert others['backbone'].candidates == records['backbone'].candidates


@pytest.mark.parametrize('make', [vit, mmdet_swin])
def test_real_times(make):
    net, cfg, records = analysed(make())
    assert all(
        e.nanoseconds == 0
        for c in records['backbone'].candidates.values()
        for e in c.values()
    )
    measure_times(net, cfg, records)
    for candidates in records['backbone'].candidates.values():
        assert all(0 < e.nanoseconds < 1e6 for e in candidates.values())
    assign(net, cfg, records)


def test_without_a_compiler(monkeypatch):
    def missing():
        raise RuntimeError('there is no C++ compiler')

    monkeypatch.setattr(kernel_times, 'check_function_times', missing)
    cfg = config(SEVERAL, criterion=NANOSECONDS)
    assert wants_times(cfg) and not wants_times(config(SEVERAL))
    check_times(config(SEVERAL))
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler.*cost='operations'"):
        check_times(cfg)
    # ... before anything is calibrated.
    net = Net(vit())
    net.test_step = None
    with pytest.raises(ConfigError, match='install a C'):
        quantize_model(net, cfg, [])


def test_a_resumed_run_has_the_same_times(vit_run, tmp_path, asked, monkeypatch):
    options = {
        'quantization.criterion': dict(NANOSECONDS, weights=dict(c=2.0)),
        'quantization.analysis': 'whole-model',
    }

    def run():
        quantize_and_compare(
            vit_run.config, work_dir=str(tmp_path), resume=True, cfg_options=options
        )
        return (tmp_path / 'plan.json').read_text()

    first = run()
    assert asked
    monkeypatch.setattr(kernel_times, 'function_times', None)
    assert run() == first
