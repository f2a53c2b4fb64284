"""Which back end could run the whole-model analysis, and how fast.

python benchmarks/analysis_backends.py [CONFIG]

The analysis needs the values of all non-linear sites. Eager integer mode has them, and
so has the reference back end, which runs node by node. The native back end fuses nodes;
to see a value, it has to be made an output of the program.
"""

import argparse
import sys
import time
from dataclasses import replace

import torch

from iptq_mm.engine.calibration_data import build_calibration_dataloader
from iptq_mm.engine.loading.models import build_model, read_config
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.engine.quantize.settings import read_settings
from iptq_mm.modes import regions_in
from iptq_mm.program import Port, Program, trace
from iptq_mm.registry import BACKENDS

#: A quantization that takes little time; the speed does not depend on it.
QUICK = {
    'quantization.calibration.num_images': 8,
    'quantization.calibration.analysis_images': 8,
    'quantization.activation.guard_images': 0,
    'quantization.equalization': [],
    'quantization.weight.rounding.type': 'nearest',
    'quantization.weight.bias_correction': False,
    'quantization.criterion': {'_delete_': True, 'type': 'sqnr'},
}
DEIT = 'configs/deit/deit-tiny_w8a8_in1k-sample.py'


def tapped(program: Program) -> Program:
    """The program with inputs and outputs of its non-linear sites as outputs."""
    values = dict.fromkeys(
        v for n in program.nodes if n.function for v in (n.values[0], n.output)
    )
    return replace(program, outputs=[Port(v, 1.0) for v in values])


def main() -> int:
    """Time one batch in each way, and what has to be done before."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='?', default=DEIT)
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cfg = read_config(args.config, None, QUICK)
    settings, model = read_settings(cfg), build_model(cfg)
    batch = next(iter(build_calibration_dataloader(cfg, settings, 0)))
    with torch.no_grad():
        images = model.data_preprocessor(batch, False)['inputs']
        name = next(iter(settings.regions))
        module = model.get_submodule(name)
        ways = {}
        began = time.perf_counter()
        module(images)
        ways['float'] = [time.perf_counter() - began]
        quantize_model(model, settings, [batch])
        assert name in regions_in(model)
        ways['eager integers'] = []
        began = time.perf_counter()
        program = trace(module, (images,)).program
        print(f'tracing: {time.perf_counter() - began:.2f} s')
        runs = {'eager integers': lambda: module(images)}
        for label, backend, made in (
            ('reference', 'reference', program),
            ('native', 'native', program),
            ('native, values of sites as outputs', 'native', tapped(program)),
        ):
            began = time.perf_counter()
            ready = BACKENDS.build(dict(type=backend)).prepare(made, images.device)
            print(f'preparing {label}: {time.perf_counter() - began:.2f} s')
            runs[label] = lambda ready=ready: ready.run_real([images])
            ways[label] = []
        for _ in range(args.rounds):
            for label, run in runs.items():
                began = time.perf_counter()
                run()
                ways[label].append(time.perf_counter() - began)
    for label, seconds in ways.items():
        print(f'{label}: {min(seconds):.2f} s for {len(images)} images')
    return 0


if __name__ == '__main__':
    sys.exit(main())
