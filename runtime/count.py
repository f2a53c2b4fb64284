"""Count the instructions of a call on an emulated ARM CPU, by instruction set.

python runtime/count.py WORK_DIR/integer.py

They are set against the least that the products of the model take: its multiply-adds,
by those of one instruction. Instructions are no measure of time.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from check import integers_of_images
from runtime_checks.counting import instructions, missing
from runtime_checks.targets import TARGETS, Target

from iptq_mm.native.commands import Attention, Gemm, MatMul
from iptq_mm.program.backends.native.file.writer import write_compiled
from iptq_mm.program.backends.native.program import NativeProgram

#: Multiply-adds of bytes that an instruction of a level can do at most.
WIDEST = {
    'neon': ('products of 8 bytes', 8),
    'dotprod': ('sdot', 16),
    'i8mm': ('usmmla', 32),
}


def multiply_adds(program: NativeProgram) -> int:
    """Multiply-adds of all products of a program."""
    made = 0
    for command in program.commands:
        if isinstance(command, Gemm):
            depth = 1 if command.window.depthwise else command.k
            made += command.m * command.n * depth * max(command.taps, 1)
        elif isinstance(command, Attention):
            depth = command.depth + command.value_depth
            made += command.groups * command.queries * command.keys * depth
        elif isinstance(command, MatMul):
            made += command.groups * command.m * command.n * command.k
    return made


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='integer.py that tools/quantize.py wrote')
    parser.add_argument('checkpoint', nargs='?')
    args = parser.parse_args()
    target = TARGETS['aarch64']
    assert isinstance(target, Target)
    if missing(target):
        print(missing(target))
        return 1
    program, (inputs,) = integers_of_images(args.config, args.checkpoint, 1)
    products = multiply_adds(NativeProgram(program))
    print(f'{products / 1e6:.1f} million multiply-adds')
    command = target.command(target.build())
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, 'model.iptq')
        write_compiled(program, model)
        paths = [Path(folder, f'input_{i}.npy') for i in range(len(inputs))]
        for path, tensor in zip(paths, inputs, strict=True):
            np.save(path, tensor.numpy())
        for level in target.levels(command):
            count = instructions(target, command, model, paths, level)
            line = f'{level}: {count / 1e6:.1f} million instructions'
            if level in WIDEST:
                name, widest = WIDEST[level]
                least = products / widest
                line += f', {count / least:.2f} times the {least / 1e6:.1f} of {name}'
            print(line, flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
