"""Which of two ONNX files of one program is faster in ONNX Runtime, in turns.

python benchmarks/onnx_files.py BEFORE.onnx AFTER.onnx [--rounds N] [--threads N]

For instance, what an earlier version of this project and this one export. Both have to
give the same integers, at each level of optimization. With one thread, CPU time counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
from bench.interleave import interleave, ratios, spread

#: Of ONNX Runtime's GraphOptimizationLevel.
LEVELS = ('DISABLE_ALL', 'BASIC', 'EXTENDED', 'ALL')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('before')
    parser.add_argument('after')
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--levels', nargs='+', choices=LEVELS, default=LEVELS)
    return parser.parse_args()


def session(path: str, level: str, threads: int) -> Any:
    """A session of ONNX Runtime at a level of optimization."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    name = level if level == 'DISABLE_ALL' else f'ENABLE_{level}'
    kinds = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = getattr(kinds, f'ORT_{name}')
    return onnxruntime.InferenceSession(
        path, options, providers=['CPUExecutionProvider']
    )


def feeds_of(runner: Any) -> dict[str, np.ndarray]:
    """Bytes of all values for the inputs of a session.

    Raises:
        ValueError: If an input has no bytes.
    """
    generator = np.random.default_rng(0)
    feeds = {}
    for x in runner.get_inputs():
        if x.type not in ('tensor(int8)', 'tensor(uint8)'):
            raise ValueError(f'{x.name} has {x.type}, not bytes: compare other files')
        kind = np.dtype(x.type.removeprefix('tensor(').rstrip(')'))
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        feeds[x.name] = generator.integers(low, high + 1, x.shape).astype(kind)
    return feeds


def main() -> int:
    """Run it."""
    args = parse_args()
    paths = dict(before=args.before, after=args.after)
    feeds = feeds_of(session(args.before, 'DISABLE_ALL', args.threads))
    expected = None
    for level in args.levels:
        runners = {n: session(p, level, args.threads) for n, p in paths.items()}
        for name, runner in runners.items():
            made = runner.run(None, feeds)
            expected = expected or made
            pairs = zip(expected, made, strict=True)
            if not all(np.array_equal(x, y) for x, y in pairs):
                print(f'error: {name} gives other integers at {level}', file=sys.stderr)
                return 1
        calls = {n: lambda r=r: r.run(None, feeds) for n, r in runners.items()}
        # Other processes lengthen the time on the wall, not that on the CPU.
        clock = time.process_time if args.threads == 1 else time.perf_counter
        taken = interleave(calls, args.rounds, clock=clock)
        ms = {n: 1e3 * spread(seconds).median for n, seconds in taken.items()}
        low, middle, high = spread(ratios(taken['before'], taken['after']))
        print(
            f'{level}: {ms["before"]:.2f} ms before, {ms["after"]:.2f} ms after: '
            f'{middle:.3f} times as fast ({low:.3f} to {high:.3f}), same integers',
            flush=True,
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
