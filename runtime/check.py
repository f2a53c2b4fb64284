"""Compare the integers of a model on all machines that the runtime is built for.

python runtime/check.py WORK_DIR/integer.py --images 650

The model is run on images of its test set by the native back end of Python, and, from
an .iptq file, by iptq-run: on this machine with each instruction set that the CPU has,
and on others under emulation; and from the file of C (c), compiled by gcc. All digests
must be the same.
"""

import argparse
import sys
import time
from itertools import islice

import torch
from runtime_checks.comparing import digest, stacked
from runtime_checks.machines import NAMES, machines

from iptq_mm.engine.export.program import joined_program
from iptq_mm.engine.loading.example import example_batch
from iptq_mm.engine.loading.models import load_quantized
from iptq_mm.program import Program
from iptq_mm.program.backends.boundary import TORCH, quantized_inputs
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
    parser.add_argument('--targets', nargs='+', choices=NAMES, default=[*NAMES])
    parser.add_argument(
        '--levels',
        nargs='+',
        metavar='LEVEL',
        help='only these instruction sets of the targets (portable, avx2, i8mm, ...)',
    )
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
    given = stacked([[x.numpy() for x in ports] for ports in inputs])
    wanted = stacked([[x.numpy() for x in native.run(ports)] for ports in inputs])
    expected = {n: digest([x[:n] for x in wanted]) for n in (few, len(inputs))}
    print(f'Python, native: {len(inputs)} images, {expected[len(inputs)]}', flush=True)
    wrong = compared = 0
    for machine in machines(args.targets, args.levels):
        count = few if machine.emulated else len(inputs)
        start = time.monotonic()
        made = digest(machine.integers(program, [x[:count] for x in given]))
        took = time.monotonic() - start
        same = made == expected[count]
        wrong += not same
        compared += 1
        print(
            f'{machine.name}: {count} images, {made} in {took:.0f} s'
            f'{"" if same else ": OTHERS THAN IN PYTHON"}',
            flush=True,
        )
    if not compared:
        print('nothing was compared: no target can be built and run here')
    return int(wrong > 0 or not compared)


if __name__ == '__main__':
    sys.exit(main())
