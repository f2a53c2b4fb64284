"""A channel without weights keeps its bias, at every level of optimization.

ONNX Runtime's basic optimizations make 0 of a float bias there, in the QDQ form
(``findings/onnxruntime_bias_of_zeroed_channel.sh``).
"""

import onnxruntime
import pytest
import torch
from program_cases import equal, integers
from region_models import images, quantized, vit

from iptq_mm.modes import bound_region
from iptq_mm.program import run, trace
from iptq_mm.program.backends.onnx import to_onnx

LEVELS = ('DISABLE_ALL', 'ENABLE_BASIC', 'ENABLE_EXTENDED', 'ENABLE_ALL')


@pytest.fixture(scope='module')
def zeroed():
    """A ViT whose first features are their bias alone, 1.5, and another that adds 0."""
    torch.manual_seed(0)
    net = vit()
    with torch.no_grad():
        for layer in (net.patch_embed.projection, net.layers[0].ffn.layers[0][0]):
            layer.weight[0] = 0
            layer.bias[0] = 1.5
    return quantized(net, [images(2, 3, 32, 32)])


def test_the_bias_is_there(zeroed):
    seen = {}
    plan = bound_region(zeroed.backbone).mode.plan
    layer = zeroed.backbone.layers[0].ffn.layers[0][0]
    handle = layer.register_forward_hook(lambda _, __, y: seen.update(y=y))
    zeroed(images(1, 3, 32, 32, seed=1))
    handle.remove()
    y = seen['y'].real_values()[..., 0]
    step = plan.sites['layers.0.ffn.layers.0.0/linear:0'].output.scale
    assert float((y - 1.5).abs().max()) <= step / 2


@pytest.mark.parametrize('level', LEVELS)
def test_exported(zeroed, level):
    program = trace(zeroed.backbone, (images(1, 3, 32, 32),), {}).program
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = getattr(levels, f'ORT_{level}')
    session = onnxruntime.InferenceSession(
        to_onnx(program).SerializeToString(),
        options,
        providers=['CPUExecutionProvider'],
    )
    for seed in range(3):
        inputs = integers(program, seed)
        feeds = {f'input_{i}': x.numpy() for i, x in enumerate(inputs)}
        made = [torch.from_numpy(y) for y in session.run(None, feeds)]
        assert equal(made, run(program, inputs))
