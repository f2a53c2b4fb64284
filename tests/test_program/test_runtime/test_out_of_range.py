"""``out_of_range``: equal logs on all back ends, samples of calls, warnings."""

import copy
import pickle
import threading
import warnings

import pytest
import torch
from program_cases import quantized_swin, quantized_vit
from region_models import CANDIDATES, Custom, config, images, quantized, rows, same

from iptq_mm.modes import bound_region
from iptq_mm.native.library import available
from iptq_mm.out_of_range import OutOfRangeLog
from iptq_mm.program import (
    Deployed,
    OutOfCalibrationWarning,
    out_of_range,
    trace,
    use_backend,
)

BACKENDS = ['reference', 'onnx', 'native']

pytestmark = [
    pytest.mark.usefixtures('one_thread'),
    pytest.mark.filterwarnings('ignore::iptq_mm.program.OutOfCalibrationWarning'),
]


def log_of(net, backend, calls, every=1):
    use_backend(net, backend)
    with torch.no_grad(), out_of_range(net, every) as logs:
        for x in calls:
            net(x)
    return logs['backbone']


CASES = {
    'vit': (quantized_vit, [images(2, 3, 32, 32, seed=s) for s in (1, 7)]),
    'swin': (quantized_swin, [images(1, 3, 50, 70, seed=8) * 3]),
}


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('case', CASES)
def test_logs_are_equal(case, backend):
    """Eager integer mode and every back end count the same."""
    if backend == 'onnx':
        pytest.importorskip('onnxruntime')
    if backend == 'native' and not available():
        pytest.skip('no g++')
    made, calls = CASES[case]
    net = copy.deepcopy(made())
    expected = log_of(net, None, calls)
    assert log_of(net, backend, calls) == expected
    assert sum(seen.outside for seen in expected.sites.values()) > 0
    assert expected.rows == expected.counted == sum(map(len, calls))


@pytest.mark.slow
def test_a_compiled_program():
    net = quantized(Custom(lambda m, x: m.last(x).softmax(-1)), [rows(seed=0)])
    calls = [4 * rows(1, 5, seed=2)]
    assert log_of(net, 'compiled', calls) == log_of(net, None, calls)


def shared_operand(m, x):
    return m.last(x) + m.other(x) + x


def test_an_operand_that_two_sites_share():
    """One node of the program, two names in the log."""
    module = Custom(shared_operand, other=torch.nn.Linear(16, 16))
    net = quantized(module, [rows(seed=s) for s in range(2)])
    expected = log_of(net, None, [3 * rows()])
    names = {n for n in expected.sites if n.endswith('<-norm/layer_norm:0')}
    assert names == {f'{n}/linear:0<-norm/layer_norm:0' for n in ('last', 'other')}
    assert log_of(net, 'reference', [3 * rows()]) == expected


def test_inputs_beyond_those_that_poly_gelu_was_fitted_to():
    """Within the symmetric quantizer of 16 bits, but where calibration had no data."""
    module = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU()).eval()
    with torch.no_grad():
        module[0].weight.fill_(0.5)
        module[0].bias.copy_(torch.linspace(1.5, 2.5, 16))
    x = torch.cat([torch.linspace(0, 1, 40)[:, None].expand(40, 8), -torch.eye(8)])
    candidates = {**CANDIDATES, 'gelu': [dict(type='poly_gelu')]}
    net = quantized(module, [x], config(candidates))
    name = '1/gelu:0 (fit)'
    usual = log_of(net, None, [x]).sites[name]
    assert usual.total == 48 * 16 and usual.share < 0.05
    expected = log_of(net, None, [-x.flip(1)])
    assert expected.sites['0/linear:0'].outside == 0
    assert sum(expected.sites[name].low) > 100
    for backend in ('reference', 'native') if available() else ('reference',):
        assert log_of(net, backend, [-x.flip(1)]) == expected


@torch.no_grad()
def test_any_number_of_rows():
    """Programs for a few sizes are filled up with rows that nobody counts."""
    net = quantized(Custom(lambda m, x: m.last(x)), [rows(seed=s) for s in range(2)])
    calls = [5 * rows(n, seed=n) for n in (3, 5, 7)]
    assert log_of(net, 'reference', calls) == log_of(net, None, calls)
    log = log_of(net, 'reference', calls * 4, every=8)
    assert log.rows == 60 and 0 < log.counted <= 60 / 8 + 1
    assert log.sites['last/linear:0'].total == log.counted * 16


@torch.no_grad()
def test_a_sample_of_calls():
    net = copy.deepcopy(quantized_vit())
    calls = [images(1, 3, 32, 32, seed=s) for s in range(9)]
    some = log_of(net, 'reference', calls, every=4)
    assert (some.rows, some.counted) == (9, 3)
    each = [log_of(net, None, [x]) for x in (calls[0], calls[4], calls[8])]
    total = OutOfRangeLog()
    for log in each:
        total.merge(log)
    assert total.sites == some.sites


@torch.no_grad()
def test_one_image_of_a_batch():
    """Also where no program serves any number of images."""
    net = copy.deepcopy(quantized_vit())
    calls = [images(4, 3, 32, 32, seed=s) for s in range(5)]
    some = log_of(net, 'reference', calls, every=8)
    assert (some.rows, some.counted) == (20, 3)
    total = OutOfRangeLog()
    for i in (0, 2, 4):
        total.merge(log_of(net, None, [calls[i][:1]]))
    assert total.sites == some.sites


@torch.no_grad()
def test_results_stay_and_nothing_is_left():
    net = copy.deepcopy(quantized_vit())
    x = images(2, 3, 32, 32, seed=3)
    use_backend(net, 'reference')
    expected = net(x)
    session = bound_region(net.backbone).session
    with out_of_range(net, every=1):
        assert same(net(x), expected)
        copied = pickle.loads(pickle.dumps(session))
        assert copied.watching is None
        with pytest.raises(ValueError, match='watched already'):
            out_of_range(net)
    assert session.watching is None
    use_backend(net, None)
    with out_of_range(net):
        with pytest.raises(ValueError, match='watched already'):
            out_of_range(net)
        net(x)
    assert bound_region(net.backbone).mode.log is None


def test_mistakes_are_named():
    with pytest.raises(ValueError, match='no quantized region'):
        out_of_range(torch.nn.Linear(2, 2))
    use_backend(net := copy.deepcopy(quantized_vit()), 'reference')
    with pytest.raises(ValueError, match='every is 1 or more'):
        out_of_range(net, every=0)


@torch.no_grad()
@pytest.mark.parametrize('backend', [None, 'reference'])
def test_one_warning_where_calibration_is_left(backend):
    net = copy.deepcopy(quantized_vit())
    use_backend(net, backend)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with out_of_range(net, every=1):
            net(images(2, 3, 32, 32, seed=0))  # a calibration batch
    assert not caught
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with out_of_range(net, every=1):
            for _ in range(3):
                net(20 * images(2, 3, 32, 32))
    (warning,) = caught
    assert warning.category is OutOfCalibrationWarning
    assert 'leave what calibration saw' in str(warning.message)


@torch.no_grad()
def test_deployed_programs():
    net = copy.deepcopy(quantized_vit())
    x = images(2, 3, 32, 32, seed=5)
    expected = log_of(net, None, [x, x])
    deployed = Deployed(trace(net.backbone, (x,)).program, 'reference')
    with out_of_range(deployed, every=1) as logs:
        deployed(x)
        deployed(x)
    assert logs['backbone'] == expected
    assert deployed.watching is None


@torch.no_grad()
def test_threads_count_together():
    net = copy.deepcopy(quantized_vit())
    x = images(1, 3, 32, 32, seed=5)
    single = log_of(net, 'reference', [x])
    with out_of_range(net, every=1) as logs:
        threads = [threading.Thread(target=net, args=(x,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    log = logs['backbone']
    assert log.counted == 4
    for name, seen in single.sites.items():
        assert log.sites[name].outside == 4 * seen.outside
