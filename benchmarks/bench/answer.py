"""From the import of torch to the first answer; runs alone, in a fresh process.

python answer.py FOLDER BACKEND THREADS

FOLDER holds programs, ``0.program`` and so on, each taking what the one before makes,
and ``image.pt``. The last line printed is JSON: the seconds that each part took.
"""

import glob
import json
import sys
import time

import torch

began = time.perf_counter()
seconds = {}


def done(part: str) -> None:
    """Note how long a part took."""
    global began
    now = time.perf_counter()
    seconds[part], began = now - began, now


def main(folder: str, backend: str, threads: str) -> None:
    """Answer an image twice."""
    torch.set_num_threads(int(threads))
    from iptq_mm.intmath import QParams
    from iptq_mm.program import load_program
    from iptq_mm.registry import BACKENDS

    done('import iptq_mm.program')
    files = sorted(glob.glob(f'{folder}/*.program'))
    programs = [load_program(file) for file in files]
    done('load')
    made = BACKENDS.build(dict(type=backend))
    executables = [made.prepare(program, torch.device('cpu')) for program in programs]
    done('prepare')
    image = torch.load(f'{folder}/image.pt')
    for turn in ('first', 'second'):
        reals = [image]
        for program, executable in zip(programs, executables, strict=True):
            integers = []
            for port, x in zip(program.inputs, reals, strict=True):
                value = program.values[port.value]
                qparams = QParams(port.scale, value.low, value.high)
                pixels = port.pixels
                integers.append(qparams.quantize(pixels.centred(x) if pixels else x))
            ports = zip(program.outputs, executable.run(integers), strict=True)
            reals = [q.float() * port.scale for port, q in ports]
        done(f'{turn} answer')
    torch.save(reals, f'{folder}/answer.pt')
    print(json.dumps(seconds))


if __name__ == '__main__':
    main(*sys.argv[1:])
