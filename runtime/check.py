"""Compare the integers of a model on all machines that the runtime is built for.

python runtime/check.py WORK_DIR/integer.py --images 650

The model is run on images of its test set by the native back end of Python, and, from
an .iptq file, by iptq-run: on this machine with each instruction set that the CPU has,
and on others under emulation. All digests must be the same.
"""

import argparse
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from runtime_checks.comparing import digest, predicted
from runtime_checks.targets import TARGETS

from iptq_mm.engine.export.program import joined_program
from iptq_mm.engine.loading.example import example_batch
from iptq_mm.engine.loading.models import load_quantized
from iptq_mm.program import Program
from iptq_mm.program.backends.boundary import TORCH, quantized_inputs
from iptq_mm.program.backends.native.file.writer import write_compiled
from iptq_mm.program.backends.native.program import NativeProgram


def parse_args() -> argparse.Namespace:
    """The options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='integer.py that tools/quantize.py wrote')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--images', type=int, default=4, help='how many (4)')
    parser.add_argument(
        '--emulated-images', type=int, help='how many under emulation; default: all'
    )
    parser.add_argument('--targets', nargs='+', choices=TARGETS, default=[*TARGETS])
    return parser.parse_args()


def integers_of_images(
    config: str, checkpoint: str | None, count: int
) -> tuple[Program, list[list[torch.Tensor]]]:
    """The program of a model, and the integers of its inputs for some test images."""
    from mmengine.runner import Runner

    cfg, model = load_quantized(config, checkpoint)
    program = joined_program(model, example_batch(cfg))
    loader = cfg.test_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    data = Runner.build_dataloader(loader)
    made = []
    for batch in islice(data, count):
        images = model.data_preprocessor(batch, False)['inputs']
        made.append(quantized_inputs(program, [images], TORCH))
    return program, made


def main() -> int:
    """Run the script."""
    args = parse_args()
    program, inputs = integers_of_images(args.config, args.checkpoint, args.images)
    few = min(args.emulated_images or len(inputs), len(inputs))
    native = NativeProgram(program)
    outputs = [[x.numpy() for x in native.run(x)] for x in inputs]
    stacked = [
        np.stack([x.numpy() for x in port]) for port in zip(*inputs, strict=True)
    ]
    wanted = [np.stack(port) for port in zip(*outputs, strict=True)]
    expected = {n: digest([x[:n] for x in wanted]) for n in (few, len(inputs))}
    print(f'Python, native: {len(inputs)} images, {expected[len(inputs)]}')
    wrong = compared = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'model.iptq')
        write_compiled(program, path)
        for name in args.targets:
            target = TARGETS[name]
            if target.missing():
                print(f'LEFT OUT: {target.missing()}')
                continue
            command = target.command(target.build())
            count = few if target.emulator else len(inputs)
            for level in target.levels(command):
                start = time.monotonic()
                given = [x[:count] for x in stacked]
                options = ['--isa', level]
                made = predicted(command, path, given, each=True, options=options)
                same = digest(made) == expected[count]
                wrong += not same
                compared += 1
                took = time.monotonic() - start
                print(
                    f'{name}, {level}: {count} images, {digest(made)} in {took:.0f} s'
                    f'{"" if same else ": OTHERS THAN IN PYTHON"}',
                    flush=True,
                )
    if not compared:
        print('nothing was compared: no target can be built and run here')
    return int(wrong > 0 or not compared)


if __name__ == '__main__':
    sys.exit(main())
