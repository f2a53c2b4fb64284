"""What the out-of-range log costs: calls with it and without, in turns.

python benchmarks/out_of_range.py [CASE] [--every N]
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from bench.setup import prepare_process


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Time calls with and without the log in turns; print ratios of '
        'the CPU time of the process, which other processes change little'
    )
    parser.add_argument('case', nargs='?', default='deit_t:b1', help='as for run.py')
    parser.add_argument('--every', type=int, default=128, help='rows, as in the API')
    parser.add_argument('--backend', default='native')
    parser.add_argument('--threads', type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Run it."""
    args = parse_args()
    prepare_process(args.threads)
    import torch
    from bench.cases import Case
    from bench.contenders.integer import _program

    from iptq_mm.program import Deployed, out_of_range

    case = Case(args.case)
    program = _program(case)
    plain, logged = (Deployed(program, args.backend) for _ in range(2))
    images = case.images()
    seconds: dict[str, list[float]] = {'without': [], 'with': [], 'counted': []}

    def timed(model: Deployed) -> float:
        began = time.process_time()
        model(images)
        return time.process_time() - began

    with torch.no_grad(), out_of_range(logged, args.every, warn=False) as logs:
        log = logs[program.region]
        prepared = time.process_time()
        logged(images)  # it prepares the watched program, and counts
        prepared = time.process_time() - prepared
        plain(images)
        for _ in range(args.every):  # the last one counts
            seconds['without'].append(timed(plain))
            before = log.counted
            taken = timed(logged)
            seconds['with' if log.counted == before else 'counted'].append(taken)
    base, quiet, counted = (median(seconds[k]) for k in seconds)
    ratio = (quiet * (args.every - 1) + counted) / (base * args.every)
    total = sum(seconds['with']) + sum(seconds['counted'])
    print(f'{case.name}, {args.backend}, {args.threads} threads, every {args.every}')
    print(f'a call without the log: {1e3 * base:.2f} ms of CPU time')
    print(f'with it: {1e3 * quiet:.2f} ms, {1e3 * counted:.2f} ms where it counts')
    print(f'first call, which prepares the watched program: {prepared:.2f} s')
    print(f'with the log by medians: {ratio:.4f} times the time without')
    print(f'by sums of all calls: {total / sum(seconds["without"]):.4f} times')


if __name__ == '__main__':
    main()
