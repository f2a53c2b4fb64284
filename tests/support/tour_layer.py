"""The linear layer that docs/tour.md walks through, from the weights and four images.

The scales come from sums of floats, which another CPU may round otherwise in the last
digit. The integers do not depend on that: the token was chosen because none of its 192
inputs lies near the middle between two codes.
"""

from pathlib import Path

import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS

from iptq_mm.calibration import QuantizationConfig, observe
from iptq_mm.calibration.phases.plan_parameters import plan_parameters
from iptq_mm.calibration.planner import Planner
from iptq_mm.engine.loading.models import new_model, read_config
from iptq_mm.intmath import QParams
from iptq_mm.operations import OPERATIONS, SiteInputs
from iptq_mm.qtensor import WeightQParams
from iptq_mm.registry import OBSERVERS

CONFIG = 'configs/deit/deit-tiny_w8a8_in1k-sample.py'
#: The first block of DeiT-Tiny: nothing after it changes what is looked at.
FIRST_BLOCK = dict(embed_dims=192, num_layers=1, num_heads=3, feedforward_channels=768)
INPUT, SITE = 'layers.0.ln1/layer_norm:0', 'layers.0.attn.qkv/linear:0'
#: Of the first image, the row, the output channel and the input channel shown.
TOKEN, OUTPUT, FEATURE = 115, 2, 4
IMAGES = 4


def calibrated(root: Path) -> dict[str, float]:
    """Every number of the walk, by its name in the tour.

    Args:
        root: Of the repository.
    """
    cfg = read_config(root / CONFIG)
    cfg.model.backbone.arch = FIRST_BLOCK
    model = new_model(cfg).eval()
    state = torch.load(cfg.load_from, weights_only=True)
    model.load_state_dict(state.get('state_dict', state), strict=False)
    images = DATASETS.build(cfg.train_dataloader.dataset)
    batch = pseudo_collate([images[i] for i in range(IMAGES)])
    layer, seen = model.backbone.layers[0].attn.qkv, {}

    def look(module, inputs, output):
        seen.update(x=inputs[0][0, TOKEN].clone(), y=output[0, TOKEN].clone())

    handle = layer.register_forward_hook(look)
    with torch.no_grad():
        model.test_step(batch)
    handle.remove()
    config = QuantizationConfig.from_dict(
        dict(regions=['backbone'], activation=cfg.quantization.activation)
    )
    record = observe(model, config, model.test_step, [batch])['backbone']
    plan = Planner(record, config).plan('VisionTransformer')
    parameters = plan_parameters(model.backbone, record, config)
    statistics = record.values[INPUT]
    observer = OBSERVERS.build(dict(config.activation.observer))
    low, high = observer.range(statistics, 8, symmetric=False)
    return {
        'lowest value': statistics.minimum,
        'highest value': statistics.maximum,
        'low': float(low),
        'high': float(high),
        **_layer(
            seen['x'],
            seen['y'],
            layer.weight.detach(),
            layer.bias.detach(),
            plan.sites[INPUT].output,
            plan.sites[SITE].output,
            torch.tensor(parameters['layers.0.attn.qkv.weight'].scale),
            parameters['layers.0.attn.qkv.bias'],
        ),
    }


def _layer(x, y, weight, bias, x_qparams, y_qparams, weight_scale, bias_plan):
    """The numbers of the layer itself, all but two by the package's own functions."""
    codes = x_qparams.quantize(x)
    scales = weight_scale.double()
    rows = (weight.double() / scales[:, None]).round().to(torch.int8)
    bias_qparams = QParams(bias_plan.scale, -bias_plan.bound, bias_plan.bound)
    bias_codes = bias_qparams.quantize(bias)
    constants = OPERATIONS['linear'].prepare(
        SiteInputs(
            [codes, rows, bias_codes],
            [x_qparams, WeightQParams(scales, 127), bias_qparams],
            y_qparams,
            {},
        )
    )
    multiplier, shift, offset = (
        int(constants[name][OUTPUT]) for name in ('multiplier', 'shift', 'offset')
    )
    result = OPERATIONS['linear'].integer([codes, rows, None], constants, {})[OUTPUT]
    row, zero_point = rows[OUTPUT].long(), -x_qparams.qmin
    accumulator = int((row * codes.long()).sum())
    wide = accumulator * multiplier + offset
    code, s_w = int(result), float(scales[OUTPUT])
    assert code == wide >> shift
    real_bias = int(bias_codes[OUTPUT]) * bias_qparams.scale
    bytes_sum = int((row * (codes.long() + zero_point)).sum())
    return {
        'S_x': x_qparams.scale,
        'qmin': x_qparams.qmin,
        'qmax': x_qparams.qmax,
        'x[4]': float(x[FEATURE]),
        'x[4] / S_x': float(x[FEATURE]) / x_qparams.scale,
        'q[4]': int(codes[FEATURE]),
        'largest weight': float(weight[OUTPUT].abs().max()),
        'S_w': s_w,
        'W[2, 4]': float(weight[OUTPUT, FEATURE]),
        'w[2, 4]': int(row[FEATURE]),
        'S_b': bias_qparams.scale,
        'bias': float(bias[OUTPUT]),
        'bias code': int(bias_codes[OUTPUT]),
        'acc': accumulator,
        'S_x * S_w * acc': x_qparams.scale * s_w * accumulator,
        'S_y': y_qparams.scale,
        'ratio': x_qparams.scale * s_w / y_qparams.scale,
        'multiplier': multiplier,
        'shift': shift,
        'offset': offset,
        'acc * multiplier + offset': wide,
        'unrounded': (wide - 2 ** (shift - 1)) / 2**shift,
        'code': code,
        'S_y * code': y_qparams.scale * code,
        'float result': float(y[OUTPUT]),
        'unrounded result': x_qparams.scale * s_w * accumulator + real_bias,
        'zero point': zero_point,
        'sum of bytes': bytes_sum,
        'start': -zero_point * int(row.sum()),
    }
