"""Integer models on a GPU: the same integers as on the CPU, and how fast.

python benchmarks/gpu.py --out gpu.md

It takes at most eight minutes on one card. Without a card it says so and measures
nothing; ``--rehearse`` then runs the same steps on the CPU.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.setup import prepare_process

_MODELS = ('deit_t', 'swin_t', 'demo_detector')
#: Exit status where nothing was measured.
_NO_GPU = 3


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Compare the integers of a GPU with those of the CPU, and time '
        'integer models beside PyTorch in fp16'
    )
    parser.add_argument('models', nargs='*', metavar='MODEL', help=', '.join(_MODELS))
    parser.add_argument('--batches', nargs='+', type=int, default=[1, 64])
    parser.add_argument('--minutes', type=float, default=7.5, help='in all')
    parser.add_argument('--device', default='cuda', help='cuda, cuda:1, ...')
    parser.add_argument(
        '--rehearse', action='store_true', help='on the CPU, to see that it runs'
    )
    parser.add_argument(
        '--out', type=Path, help='Markdown file; default: standard output'
    )
    return parser.parse_args()


def main() -> int:
    """Run it; exit status 1 if integers differ, 3 without a GPU."""
    args = parse_args()
    unknown = set(args.models) - set(_MODELS)
    if unknown:
        print(
            f'error: no model {sorted(unknown)}: {", ".join(_MODELS)}', file=sys.stderr
        )
        return 2
    prepare_process(os.cpu_count() or 1)
    import torch
    from bench.gpu.measurement import measure
    from bench.gpu.report import differences, report

    from iptq_mm.utils.files import atomic_write

    if not args.rehearse and not torch.cuda.is_available():
        print(
            f'no GPU: torch {torch.__version__} finds no CUDA device here. Nothing was '
            'measured; --rehearse runs the same steps on the CPU',
            file=sys.stderr,
        )
        return _NO_GPU
    out = args.out and args.out.resolve()
    # The checkpoint of the demo lies in the repository.
    os.chdir(Path(__file__).resolve().parents[1])
    result = measure(
        args.models or _MODELS,
        torch.device('cpu' if args.rehearse else args.device),
        args.batches,
        args.minutes,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    page = report(result, f'python benchmarks/gpu.py {" ".join(sys.argv[1:])}'.strip())
    if out:
        atomic_write(out, page)
    else:
        print(page)
    return int(differences(result) > 0)


if __name__ == '__main__':
    sys.exit(main())
