"""Modules that stay float between integers."""

import copy
import pickle

import pytest
import torch
from region_models import SEVERAL, Net, config, images, vit
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.kept_float import kept_float, quantized_parameters
from iptq_mm.modes import bound_region
from iptq_mm.modes.install import PLAN_KEY, install
from iptq_mm.plan import PlanError, RegionPlan
from iptq_mm.program import use_backend
from iptq_mm.program.audit import audit_model
from iptq_mm.program.audit.report import markdown, plain
from iptq_mm.program.runtime.out_of_range import out_of_range
from iptq_mm.qtensor import UnsupportedOperationError

BATCHES = [images(2, 3, 16, 16, seed=s) for s in range(2)]
BLOCK, NORMS = r'backbone\.layers\.0\.ffn', 'LayerNorm'


class Tested(Net):
    """As mm's models, which :func:`quantize_model` takes."""

    def test_step(self, batch):
        return self(batch)


def run(*overrides, backbone=None, **options):
    """A quantized model, and its float self."""
    net = Tested(copy.deepcopy(backbone or vit(dims=16, size=16))).eval()
    real = copy.deepcopy(net)
    cfg = config(
        SEVERAL,
        overrides=[
            w if isinstance(w, dict) else dict(where=w, keep_float=True)
            for w in overrides
        ],
        **options,
    )
    quantize_model(net, cfg, BATCHES)
    return net, real


@pytest.fixture(scope='module')
def block():
    return run(BLOCK, weight=dict(rounding=dict(type='second_order'), guided=True))


@torch.no_grad()
def outputs(net, x=BATCHES[0]):
    (out,) = net(x)
    return out


def error(net, real):
    found, wanted = outputs(net), outputs(real)
    return float((found - wanted).square().mean() / wanted.square().mean())


def test_a_block_between_integers(block):
    net, real = block
    assert kept_float(net.backbone) == ['layers.0.ffn']
    ffn = net.backbone.layers[0].ffn
    assert all(p.is_floating_point() for p in ffn.parameters())
    assert not any(p.is_floating_point() for _, p in quantized_parameters(net.backbone))
    plan = bound_region(net.backbone).mode.plan
    assert not any(site.startswith('layers.0.ffn') for site in plan.sites)
    assert plan.inputs['float:layers.0.ffn:0'].bits == 16
    assert error(net, real) < 0.03


def test_float_parts_help():
    """What two bits would spoil, and does not if it is float."""
    layers = r'.*\.(ffn|attn)'
    worse, real = run(dict(where=layers, weight=dict(bits=2)), on_mismatch='warn')
    net, _ = run(layers)
    assert error(net, real) < 0.1 * error(worse, real)


def test_equalization_leaves_what_float_modules_get():
    """Factors between a LayerNorm and a float module would have nobody to take them."""
    both = [dict(type='layer_norm'), dict(type='attention')]
    net, real = run(BLOCK, r'.*layers\.1\.attn\.proj', equalization=both)
    assert error(net, real) < 0.03


@pytest.mark.parametrize('where', [BLOCK, NORMS, r'.*\.(qkv|ln2)'])
def test_back_ends_agree(block, where):
    net, _ = block if where == BLOCK else run(where)
    expected = outputs(net)
    for backend in ('reference', 'native'):
        use_backend(net, backend)
        assert torch.equal(outputs(net), expected)
        assert torch.equal(outputs(net, BATCHES[1][:1]), outputs(net, BATCHES[1])[:1])
        session = bound_region(net.backbone).session
        assert 'float: ' in str(session.programs[-1].executable)
    use_backend(net, None)


def test_the_audit_lists_what_stays_float(block):
    net, _ = block
    audit = audit_model(net, lambda: net(BATCHES[0]))
    assert audit.holds and audit.kept_float == ['backbone.layers.0.ffn']
    assert 'backbone.layers.0.ffn' in plain(audit, 'x')['kept_float']
    (part,) = [p for p in audit.outside if p.path == 'backbone.layers.0.ffn']
    assert part.parameters and part.layers['Linear'] == 2 and part.operations
    assert '**Kept float in between**: backbone.layers.0.ffn' in markdown(audit, 'x')


def test_checkpoint_copy_and_pickle(block):
    net, _ = block
    state = net.backbone.state_dict()
    plan = RegionPlan.from_tensor(state[PLAN_KEY])
    assert plan.kept_float == ['layers.0.ffn']
    fresh = Tested(vit(dims=16, size=16))
    install('backbone', fresh.backbone, plan)
    fresh.backbone.load_state_dict(state)
    expected = outputs(net)
    for other in (fresh, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(outputs(other), expected)
        with torch.no_grad():  # its float module is its own
            other.backbone.layers[0].ffn.layers[1].bias.add_(1)
        assert not torch.equal(outputs(other), expected)
    assert torch.equal(outputs(net), expected)


def test_a_plan_without_its_float_module():
    plan = RegionPlan('VisionTransformer', kept_float=['layers.7'])
    with pytest.raises(PlanError, match="'layers.7', kept float, is missing"):
        plan.check('backbone', vit(dims=16, size=16))
    assert 'kept_float' not in RegionPlan('VisionTransformer').to_dict()


def test_counting_runs_in_integer_mode(block):
    net, _ = block
    use_backend(net, 'reference')
    expected = outputs(net)
    with out_of_range(net, every=1) as logs:
        assert torch.equal(outputs(net), expected)
    use_backend(net, None)
    assert logs['backbone'].counted == 2


def test_a_whole_region_stays_float():
    class Two(Tested):
        def __init__(self, backbone):
            super().__init__(backbone)
            self.neck = nn.Sequential(nn.LayerNorm(16), nn.GELU())

        def forward(self, x):
            return (self.neck(self.backbone(x)[0]),)

    net = Two(vit(dims=16, size=16)).eval()
    cfg = config(
        SEVERAL,
        regions=['backbone', 'neck'],
        overrides=[dict(where='backbone', keep_float=True)],
    )
    assert quantize_model(net, cfg, BATCHES).plans.keys() == {'neck'}
    with pytest.raises(ConfigError, match='keeps all regions float'):
        run('.*')


class Direct(nn.Module):
    """Uses the weight of a layer without calling it."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(16, 16), nn.LayerNorm(16)
        self.tied, self.unused = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x):
        x = self.norm(x.flatten(1)[:, :16])
        return (self.tied(nn.functional.linear(x, self.layer.weight)),)


def test_modules_that_cannot_stay_float():
    with pytest.raises(UnsupportedOperationError, match='keep float the module'):
        run(r'backbone\.layer', backbone=Direct())
    with pytest.raises(ConfigError, match="never calls that module.*Keep 'backbone'"):
        run(r'backbone\.unused', backbone=Direct())
    tied = Direct()
    tied.tied.weight = tied.layer.weight
    with pytest.raises(ConfigError, match='keep both float'):
        run(r'backbone\.layer', backbone=tied)
    with pytest.raises(ConfigError, match='reconstruction'):
        run(BLOCK, reconstruction=dict(epochs=1))
