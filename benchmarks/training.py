"""Measure a training step on integers beside a float one.

python benchmarks/training.py [CASE ...]
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.setup import prepare_process

#: Contenders: the float model, integers with native kernels, integers by torch.
CONTENDERS = ('float', 'integer', 'integer, torch')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Time training steps (forward, backward, AdamW) in turns, in one '
        'process, and print ratios to the float step; peak memory in processes of '
        'their own'
    )
    parser.add_argument(
        'cases', nargs='*', default=['deit_t:b16', 'swin_t:b8'], metavar='CASE'
    )
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--only', choices=CONTENDERS, help=argparse.SUPPRESS)
    return parser.parse_args()


def step_of(case, contender: str) -> Callable[[], None]:  # noqa: ANN001
    """A training step of a contender: what is measured."""
    import torch

    from iptq_mm.modes import regions_in
    from iptq_mm.modes.training import begin_training
    from iptq_mm.program.runtime.site_kernels import SiteKernels

    x = case.images()
    if contender == 'float':
        model = copy.deepcopy(case.floats).train()
        outputs = model
    else:
        model = copy.deepcopy(case.integers)
        kernels = SiteKernels() if contender == 'integer' else None
        for name in regions_in(model):
            begin_training(model.get_submodule(name), kernels=kernels)
        outputs = model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step() -> None:
        from bench.cases import tensors

        loss = sum(y.square().mean() for y in tensors(outputs(x)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def peak(case: str, contender: str, threads: int) -> float:
    """Peak memory of a process during training steps, in MB (Linux)."""
    command = [sys.executable, __file__, case, '--threads', str(threads)]
    result = subprocess.run(
        [*command, '--only', contender], check=True, capture_output=True, text=True
    )
    return json.loads(result.stdout.splitlines()[-1])['mb']


def _high_water() -> float:
    """Peak resident memory since it was last reset, in MB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    (line,) = (x for x in lines if x.startswith('VmHWM'))
    return int(line.split()[1]) / 1024


def main() -> int:
    """Run it."""
    args = parse_args()
    prepare_process(args.threads)
    from bench.cases import Case

    if args.only:
        step = step_of(Case(args.cases[0]), args.only)
        step()
        # From here on: not that of quantization, nor of making kernels.
        Path('/proc/self/clear_refs').write_text('5')
        step()
        step()
        print(json.dumps(dict(mb=_high_water())))
        return 0
    print('| step of | over float | seconds | peak memory, MB |')
    print('| --- | --- | --- | --- |')
    for name in args.cases:
        case = Case(name)
        steps = {c: step_of(case, c) for c in CONTENDERS}
        seconds: dict[str, list[float]] = {c: [] for c in CONTENDERS}
        for turn in range(args.rounds + 2):
            for contender, step in steps.items():
                began = time.perf_counter()
                step()
                if turn > 1:  # kernels are made in the first two
                    seconds[contender].append(time.perf_counter() - began)
        base = seconds['float']
        for contender, mine in seconds.items():
            ratio = statistics.median(m / b for m, b in zip(mine, base, strict=True))
            memory = peak(name, contender, args.threads)
            print(
                f'| {case.name} {contender} | {ratio:.2f} | '
                f'{statistics.median(mine):.2f} | {memory:.0f} |',
                flush=True,
            )
    return 0


if __name__ == '__main__':
    sys.exit(main())
