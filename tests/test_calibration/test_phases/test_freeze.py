"""Rounding of parameters in the plan, and bias correction."""

import pytest
import torch
from region_models import Custom, calibrated, config, rows, sqnr
from torch import nn

from iptq_mm.calibration import ConfigError, freeze_regions, measure, wants_inputs
from iptq_mm.calibration.phases.freeze import quantize_parameters

pytestmark = pytest.mark.usefixtures('no_grad')

SECOND_ORDER = dict(type='second_order', search=4, sweeps=1)


def correlated(seed=0):
    """Inputs that share a direction and have a mean: what roundings can use."""
    x = rows(16, 8, seed=seed)
    return x + 1.5 * x.mean(-1, keepdim=True) + 0.7


def quantized(module, cfg, batches):
    net, plan, record = calibrated(module, batches, cfg)
    inputs = None
    if wants_inputs(cfg):
        inputs = measure(net, {'backbone': plan}, net, batches)
    freeze_regions(net, cfg, {'backbone': plan}, {'backbone': record}, inputs)
    return net


def linear():
    """A weight of 3 bits right behind the input, and little else."""
    return Custom(lambda self, x: self.last(x))


def test_second_order_and_correction_each_help():
    batches = [correlated(s) for s in range(4)]
    module, x = linear(), correlated(9)

    def figure(**weight):
        cfg = config(weight=dict(bits=3, **weight))
        return sqnr(module(x), quantized(module, cfg, batches)(x))

    plain = figure()
    corrected = figure(bias_correction=True)
    second = figure(rounding=SECOND_ORDER)
    both = figure(rounding=SECOND_ORDER, bias_correction=True)
    assert corrected > plain + 0.2
    assert second > plain + 0.5
    assert both > plain + 0.5


def test_correction_takes_the_mean_error_away():
    module = linear()
    batches = [correlated(s) for s in range(4)]
    cfg = config(weight=dict(bits=3, bias_correction=True))
    net, plan, record = calibrated(module, batches, cfg)
    inputs = measure(net, {'backbone': plan}, net, batches)['backbone']
    integers = quantize_parameters(module, plan, record, cfg, inputs)
    (seen,) = [i for (name, _), i in inputs.items() if name == 'first.weight']

    def real(name):
        scale = plan.parameters[name].scales()
        return integers[name].double() * scale.view(
            -1, *[1] * (integers[name].dim() - 1)
        )

    expected = module.first.weight.double() @ seen.real_mean + module.first.bias
    given = real('first.weight') @ seen.moments.mean + real('first.bias')
    step = plan.parameters['first.bias'].scale
    assert (given - expected).abs().max() <= step
    uncorrected = real('first.weight') @ seen.moments.mean + module.first.bias
    assert (uncorrected - expected).abs().max() > 100 * step


def test_scales_that_a_rounding_chose_are_in_the_plan():
    module, batches = linear(), [correlated(s) for s in range(2)]
    cfg = config(weight=dict(bits=3, rounding=SECOND_ORDER))
    net, plan, record = calibrated(module, batches, cfg)
    before = list(plan.parameters['first.weight'].scale)
    inputs = measure(net, {'backbone': plan}, net, batches)['backbone']
    quantize_parameters(module, plan, record, cfg, inputs)
    after = plan.parameters['first.weight'].scale
    assert len(after) == len(before) and after != before


def test_without_bias_or_with_a_shared_one_nothing_is_corrected():
    class Shared(Custom):
        def __init__(self):
            super().__init__(
                lambda self, x: self.other(x) + self.last(x) + self.bare(x)
            )
            self.other = nn.Linear(16, 16)
            self.other.bias = self.last.bias
            self.bare = nn.Linear(16, 16, bias=False)

    module, batches = Shared(), [rows(seed=s) for s in range(2)]
    cfg = config(weight=dict(bits=4, bias_correction=True))
    net, plan, record = calibrated(module, batches, cfg)
    inputs = measure(net, {'backbone': plan}, net, batches)['backbone']
    integers = quantize_parameters(module, plan, record, cfg, inputs)
    scale = plan.parameters['last.bias'].scale
    torch.testing.assert_close(
        integers['last.bias'].float() * scale, module.last.bias, rtol=0, atol=scale
    )


def test_what_the_config_wants():
    assert not wants_inputs(config())
    assert wants_inputs(config(weight=dict(bias_correction=True)))
    assert wants_inputs(config(weight=dict(rounding=SECOND_ORDER)))
    with pytest.raises(ConfigError, match='second_order'):
        config(weight=dict(rounding=dict(type='second_order', damping=-1.0)))
