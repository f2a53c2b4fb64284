"""Tiny models, quantized on the CPU and on the device that is none.

    python pretend_runs.py FOLDER CASE [CASE ...]

A process of its own, because the device has to be there before the first backward pass.
It prints a line of JSON for each case.
"""

import copy
import json
import sys
from pathlib import Path

import pretend_device
import tiny_models
import tiny_runs
import torch
from mmcv.utils import ext_loader
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import instance_data
from pretend_device import NAME

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.modes import regions_in
from iptq_mm.program import run, use_backend
from iptq_mm.program.backends.compiled.graph import whole_graph

WHOLE = ['backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head']
#: By name: the model, and what is changed in its settings.
CASES = {
    'plain': ('vit', {}),
    'presets': (
        'swin',
        dict(
            pixels=True,
            equalization=[dict(type='layer_norm'), dict(type='attention')],
            weight=dict(
                bits=4, rounding=dict(type='second_order'), bias_correction=True
            ),
            activation=dict(search_images=2),
            criterion=dict(type='output_error'),
        ),
    ),
    'assigned ranges': (
        'vit',
        dict(
            pixels=True,
            weight=dict(guided=True),
            calibration=dict(
                num_images=4,
                analysis_images=2,
                batch_size=2,
                recalibrate='all',
                function_ranges='output',
            ),
        ),
    ),
    'whole-model': ('vit', dict(analysis='whole-model')),
    'detector': (
        'mask_rcnn',
        dict(
            regions=WHOLE,
            calibration=dict(num_images=2, analysis_images=1, batch_size=1),
        ),
    ),
}


def quantized(name: str, root: Path, device: torch.device) -> tuple:
    """The plans, integers and region outputs of a case on a device."""
    kind, settings = CASES[name]
    detector = kind == 'mask_rcnn'
    cfg = getattr(tiny_models, kind)(
        root / ('detection' if detector else 'classification')
    )
    config = QuantizationConfig.from_dict(
        {**cfg.quantization.to_dict(), **settings}, cfg.candidates
    )
    torch.manual_seed(0)  # of what a model makes at random
    model = tiny_models.build(cfg)
    if detector:  # all heads run, whatever random weights say
        model.test_cfg.rcnn.score_thr = 0.0
        model.roi_head.test_cfg.score_thr = 0.0
    model = model.to(device)
    init_default_scope(cfg.default_scope)
    images = DATASETS.build(cfg.test_dataloader.dataset)
    size = config.calibration.batch_size
    batches = [
        pseudo_collate([images[j] for j in range(i, i + size)])
        for i in range(0, 2 * size, size)
    ]
    found = quantize_model(model, config, copy.deepcopy(batches))
    outputs: list[torch.Tensor] = []
    for region in regions_in(model).values():
        region.on_output = lambda _, values: outputs.extend(v.cpu() for v in values)
    with torch.no_grad():
        model.test_step(copy.deepcopy(batches[0]))
        made = list(outputs)  # programs make more
        agree = device.type != 'cpu' or programs_agree(model, batches[0])
    plans = {n: plan.to_dict() for n, plan in found.plans.items()}
    weights = {n: value.cpu() for n, value in model.state_dict().items()}
    return plans, weights, made, agree


def programs_agree(model, batch) -> bool:
    """Whether programs run on the device as on the CPU, where they are traced."""
    use_backend(model, 'reference')
    model.test_step(copy.deepcopy(batch))
    sessions = [region.session for region in regions_in(model).values()]
    programs = [made.program for s in sessions for made in s.programs]
    assert programs
    for program in programs:
        values = [program.values[port.value] for port in program.inputs]
        inputs = [torch.randint(v.low, v.high + 1, v.shape).to(v.dtype) for v in values]
        expected = run(program, inputs)
        found = run(program, [x.to(NAME) for x in inputs])
        graph = whole_graph(program, torch.device(NAME))
        made = graph(*(x.to(NAME) for x in inputs))
        for others in (found, made):
            pairs = zip(expected, others, strict=True)
            if not all(torch.equal(a, b.cpu().to(a.dtype)) for a, b in pairs):
                return False
    return True


#: Whole runs, from a config to files: the function and the tiny config.
RUNS = {
    'evaluation': (quantize_and_compare, tiny_models.vit),
}


def whole_run(name: str, root: Path, device: str) -> tuple:
    """The results and the integers of a whole run on a device."""
    function, made = RUNS[name]
    torch.manual_seed(0)  # of the float model
    config, _ = tiny_models.write(made(root / 'classification'), root / name, name)
    folder = root / name / device
    results = function(config, work_dir=str(folder), device=device)
    assert results['device'] == device
    weights = torch.load(folder / 'integer.pth', weights_only=True)['state_dict']
    for key in ('seconds', 'device'):
        del results[key]
    return results, weights


def main(folder: str, *names: str) -> None:
    """Run cases."""
    root = Path(folder)
    torch.set_num_threads(1)
    tiny_runs.make_classification_images(root / 'classification')
    tiny_runs.make_detection_images(root / 'detection')
    # mmcv has kernels for devices that it knows.
    for name in ('nms', 'roi_align_forward'):
        kernels = ext_loader.load_ext('_ext', [name])
        setattr(kernels, name, pretend_device.with_kernel(getattr(kernels, name)))
    # mmengine lists the types of tensors that may be indices.
    instance_data.IndexType = instance_data.IndexType | pretend_device.Pretended
    with pretend_device.pretending() as device:
        for name in names or (*CASES, *RUNS):
            if name in RUNS:
                first, second = (whole_run(name, root, d) for d in ('cpu', NAME))
                line = {
                    'case': name,
                    'plans': first[0] == second[0],
                    'weights': tiny_runs.same(first[1], second[1]),
                    'outputs': True,
                    'programs': True,
                    'count': len(first[1]),
                }
                print(json.dumps(line), flush=True)
                continue
            plans, weights, outputs, agree = quantized(name, root, torch.device('cpu'))
            others = quantized(name, root, device)
            line = {
                'case': name,
                'plans': plans == others[0],
                'weights': all(
                    torch.equal(w, others[1][n]) for n, w in weights.items()
                ),
                'outputs': len(outputs) == len(others[2])
                and all(map(torch.equal, outputs, others[2])),
                'count': len(outputs),
                'programs': agree,
            }
            print(json.dumps(line), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
