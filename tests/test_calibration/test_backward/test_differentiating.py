"""What errors at a site do to the outputs: predicted, and as it happens."""

import pytest
import torch
from region_models import (
    SEVERAL,
    Custom,
    Net,
    config,
    deit,
    images,
    mmdet_swin,
    rows,
    tensors,
)
from torch import nn

from iptq_mm.calibration import (
    analyse,
    kept_tensors,
    measure,
    observe,
    sampling,
    search_ranges,
)
from iptq_mm.calibration.backward import saved
from iptq_mm.calibration.phases.sensitivity.forms import weight_forms
from iptq_mm.calibration.phases.sensitivity.measure import sensitivities
from iptq_mm.calibration.planner import Planner
from iptq_mm.engine.study.replaying import ReplayingFloat
from iptq_mm.modes import Region, bind, unbind

GRADIENTS = dict(type='output_error')


def analysed(module, batches, draws=1, criterion=GRADIENTS):
    """The record of a region, with gradients."""
    net = module if isinstance(module, Net) else Net(module)
    options = dict(criterion, draws=draws) if criterion == GRADIENTS else criterion
    cfg = config(SEVERAL, criterion=options)
    records = observe(net, cfg, net, batches)
    analyse(net, cfg, records, net, batches)
    return net, cfg, records['backbone']


def happened(net, cfg, record, batch, site, name):
    """Relative squared error of the outputs with a candidate at one site."""
    planner = Planner(record, cfg)
    plan = planner.plan(type(net.backbone).__name__)
    functions = cfg.functions()
    mode = ReplayingFloat(plan, functions, record, planner.qparams, lambda f, n: 1)
    bind(net.backbone, Region('backbone', mode))
    with torch.no_grad():
        before = tensors(net(batch))
        mode.vary({site: name})
        after = tensors(net(batch))
    unbind(net.backbone)
    shares = []
    for y, other in zip(before, after, strict=True):
        error, signal = (other - y).double().square(), y.double().square()
        sums = [t.reshape(len(batch), -1).sum(1) for t in (error, signal)]
        shares.append(sums[0] / sums[1])
    return float(sum(shares).mean())


def pooled(self, x):
    return self.last(x).mean((1, 2))


def sharp(self, x):
    return self.last((x @ x.mT).softmax(-1) @ x).mean((1, 2))


@pytest.mark.parametrize('body', [pooled, sharp])
def test_one_number_an_image_needs_no_luck(body):
    """The sign of one output does not matter, and these are linear after the site."""
    batch = rows(4, 6)
    net, cfg, record = analysed(Custom(body), [batch])
    site = list(record.candidates)[-1]
    for name, errors in record.candidates[site].items():
        actual = happened(net, cfg, record, batch, site, name)
        near = pytest.approx(actual, rel=1e-3, abs=2e-11)  # float32 itself is no better
        assert errors.relative_output_error == near
        assert errors.draws == 4


def test_many_draws_give_the_error_of_many_outputs():
    batch = images(2, 3, 32, 32)
    net, cfg, record = analysed(deit(), [batch], draws=200)
    predicted, actual, weighted = [], [], []
    for site, candidates in record.candidates.items():
        for name, errors in candidates.items():
            predicted.append(errors.relative_output_error)
            weighted.append(errors.relative_weighted_error)
            actual.append(happened(net, cfg, record, batch, site, name))
    ratio = torch.tensor(predicted) / torch.tensor(actual)
    # Two images, and an error that is not small.
    assert ratio.min() > 0.6 and ratio.max() < 1.6
    assert (ratio.log().mean().exp() - 1).abs() < 0.1
    # Mostly roundings here, which have nothing to do with each other.
    ratio = torch.tensor(weighted) / torch.tensor(actual)
    assert ratio.quantile(0.1) > 0.3 and ratio.quantile(0.9) < 3


def figures(record):
    return {
        (site, name): (errors.output_error, errors.weighted_error, errors.draws)
        for site, candidates in record.candidates.items()
        for name, errors in candidates.items()
    }


def test_the_order_of_batches_does_not_matter():
    batches = [images(2, 3, 32, 32, seed=s) for s in range(2)]
    one, other = (
        figures(analysed(mmdet_swin(), order)[2]) for order in (batches, batches[::-1])
    )
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert value == pytest.approx(other[key], rel=1e-12)


def test_nothing_else_changes():
    """The same errors as without gradients, and no graph is left to the model."""

    class Model(Net):
        def forward(self, x):
            assert not torch.is_grad_enabled()
            y = self.backbone(x)
            assert not torch.is_grad_enabled() and not y.requires_grad
            return y.numpy()

    batches = [rows(seed=s) for s in range(3)]
    with torch.enable_grad():
        _, _, record = analysed(Model(Custom(sharp)), batches)
        assert torch.is_grad_enabled()
    _, _, without = analysed(Model(Custom(sharp)), batches, criterion=dict(type='sqnr'))
    for site, candidates in without.candidates.items():
        for name, errors in candidates.items():
            other = record.candidates[site][name]
            assert errors.draws == 0 and errors.output_error == 0
            assert other.draws == 12 and other.output_error > 0
            assert (other.error, other.ratio) == (errors.error, errors.ratio)
    assert record.constants.keys() == without.constants.keys()


def test_a_failing_forward_leaves_no_gradients():
    def body(self, x):
        assert torch.is_grad_enabled() == self.gradients
        self.gradients = True  # observing is over
        return self.last(x) if self.calls.pop() else 1 / 0

    with pytest.raises(ZeroDivisionError), torch.no_grad():
        analysed(Custom(body, gradients=False, calls=[False, True]), [rows()])
    with torch.enable_grad():
        with pytest.raises(ZeroDivisionError):
            analysed(Custom(body, gradients=False, calls=[False, True]), [rows()])
        assert torch.is_grad_enabled()


def test_a_site_that_no_output_depends_on():
    def body(self, x):
        self.norm(x + 1.0)
        return self.last(x)

    _, _, record = analysed(Custom(body), [rows()], draws=2)
    used, unused = (record.candidates[f'norm/layer_norm:{i}'] for i in range(2))
    assert all(e.output_error > 0 and e.draws == 8 for e in used.values())
    assert all(e.output_error == 0 and e.draws == 8 for e in unused.values())
    assert all(e.error > 0 for e in unused.values())


def test_outputs_count_alike():
    """An output of thousandths beside one of thousands."""

    def body(self, x):
        large = self.last(x).mean((1, 2)) * 1000
        return large, self.other(x).mean((1, 2)) / 1000

    other = nn.Linear(16, 16)
    both = analysed(Custom(body, other=other), [rows()], draws=50)[2]
    parts = [
        analysed(Custom(lambda s, x, i=i: body(s, x)[i], other=other), [rows()])[2]
        for i in range(2)
    ]
    site = 'norm/layer_norm:0'
    for name, errors in both.candidates[site].items():
        alone = [p.candidates[site][name].relative_output_error for p in parts]
        assert errors.relative_output_error == pytest.approx(sum(alone), rel=0.3)
        assert min(alone) > 0


def test_two_calls_for_an_image():
    class Twice(Net):
        def forward(self, x):
            return self.backbone(x) + self.backbone(-2 * x)

    batch = rows()
    _, _, both = analysed(Twice(Custom(pooled)), [batch])
    _, _, apart = analysed(Custom(pooled), [batch, -2 * batch])
    one, other = figures(both), figures(apart)
    for key, value in one.items():
        assert value == pytest.approx(other[key])


def test_sampled_rows_are_scaled(monkeypatch):
    batch = rows(2, 64)
    _, _, whole = analysed(Custom(pooled), [batch], draws=30)
    monkeypatch.setattr(sampling, 'MAX_ELEMENTS', 16 * 16)
    _, _, sampled = analysed(Custom(pooled), [batch], draws=30)
    for name, errors in whole.candidates['norm/layer_norm:0'].items():
        other = sampled.candidates['norm/layer_norm:0'][name]
        assert other.elements == errors.elements
        assert other.weighted_error == pytest.approx(errors.weighted_error, rel=0.3)
        assert 1 / 30 < other.output_error / errors.output_error < 30


def errors_of_candidates(net, cfg, records, batches):
    analyse(net, cfg, records, net, batches)
    return {
        f'{site} {name}': (e.relative_output_error, e.relative_weighted_error, e.error)
        for site, candidates in records['backbone'].candidates.items()
        for name, e in candidates.items()
    }


def moments(net, cfg, records, batches):
    plan = Planner(records['backbone'], cfg).plan('Swin')
    kept = saved.Saved(cfg.calibration.gradient_memory_mb)
    inputs = measure(net, {'backbone': plan}, net, batches, True, kept)
    return {n: (i.moments.second, i.fine) for n, i in inputs['backbone'].items()}


def effects_of_bits(net, cfg, records, batches):
    tried = weight_forms((3, 8), [0]), (3, 8)
    found = sensitivities(net, cfg, records, net, batches, *tried)
    return {
        site: (seen.weight_errors, seen.activation_errors)
        for site, seen in found['backbone'].items()
    }


def effects_of_ranges(net, cfg, records, batches):
    sums = search_ranges(net, cfg, records, net, batches)
    return {value: [*map(float, s)] for value, s in sums['backbone'].items()}


@pytest.mark.parametrize(
    'phase', [errors_of_candidates, moments, effects_of_bits, effects_of_ranges]
)
def test_findings_are_the_same_where_nothing_stays_in_memory(phase, monkeypatch):
    monkeypatch.setattr(saved, '_SMALL', 0)
    written, write = [], kept_tensors._on_disk
    monkeypatch.setattr(
        kept_tensors, '_on_disk', lambda x: written.append(0) or write(x)
    )
    net, found = Net(mmdet_swin()), []
    for limit in (1024, 0):
        assert not written
        cfg = config(SEVERAL, criterion=GRADIENTS)
        cfg.calibration.gradient_memory_mb = limit
        batches = [images(2, 3, 40, 52), images(2, 3, 40, 52, seed=1)]
        records = observe(net, cfg, net, batches)
        found.append(phase(net, cfg, records, batches))
    assert len(written) > 20
    assert found[0].keys() == found[1].keys() and found[0]
    for site, expected in found[0].items():
        torch.testing.assert_close(expected, found[1][site], rtol=0, atol=0)


def test_a_call_that_fails_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(saved, '_SMALL', 0)
    net = Net(mmdet_swin())
    cfg = config(SEVERAL, criterion=GRADIENTS)
    cfg.calibration.gradient_memory_mb = 0
    records = observe(net, cfg, net, [images(2, 3, 40, 52)])

    def broken(*_):
        raise ZeroDivisionError

    net.backbone.stages[-1].register_forward_pre_hook(broken)
    with pytest.raises(ZeroDivisionError):
        analyse(net, cfg, records, net, [images(2, 3, 40, 52)])
    written = []
    monkeypatch.setattr(kept_tensors, '_on_disk', written.append)
    torch.randn(9, requires_grad=True).exp()
    assert torch.is_grad_enabled() and not written
