"""Measure integer models beside float ones and other quantizers' work.

python benchmarks/run.py [CASE ...]
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from pathlib import Path

from bench.setup import prepare_process


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Time contenders in turns, in one process; print ratios'
    )
    parser.add_argument(
        'cases',
        nargs='*',
        metavar='CASE',
        help='NETWORK[:HxW][:bBATCH], the network deit_t, deit_s, swin_t, '
        'swin_t_backbone, swin_t_cascade or the path of a config; '
        'default: those of docs/performance.md',
    )
    parser.add_argument(
        '--contenders', nargs='+', default=['*'], help='names, or patterns like onnx*'
    )
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument(
        '--turn', type=float, default=0.25, help='seconds of each in a round'
    )
    parser.add_argument(
        '--scaling',
        action='store_true',
        help='cases that grow in size and batch; implies --memory',
    )
    parser.add_argument(
        '--memory',
        action='store_true',
        help='resident memory of each, in processes of their own',
    )
    parser.add_argument(
        '--out',
        type=Path,
        help='JSON file; beside it its table, .md, and with --scaling a picture, .png',
    )
    return parser.parse_args()


def main() -> int:
    """Run it; mistakes of the user end it with a message, not a trace."""
    args = parse_args()
    prepare_process(args.threads)
    from bench.cases import DEFAULT, SCALING, Case
    from bench.contenders import CONTENDERS, REFERENCE
    from bench.machine import facts
    from bench.measure import measure
    from bench.memory import memory
    from bench.reports.picture import draw, grown
    from bench.reports.tables import case_table, machine_lines, report, summaries

    from iptq_mm.utils.files import atomic_write

    names = [
        n for n in CONTENDERS if any(fnmatch.fnmatch(n, p) for p in args.contenders)
    ]
    wanted = args.cases or (SCALING if args.scaling else DEFAULT)
    try:
        if not names:
            raise ValueError(f'no contender {args.contenders}: {", ".join(CONTENDERS)}')
        if args.rounds < 1 or args.threads < 1:
            raise ValueError('--rounds and --threads are at least 1')
        for name in wanted:
            Case(name)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    results = {'machine': facts(), 'reference': REFERENCE, 'cases': []}
    print(machine_lines(results['machine']), flush=True)
    wrong = False
    for name in wanted:
        case = Case(name)
        done = measure(case, names, args.rounds, args.turn, _say)
        for contender, entry in done['contenders'].items():
            if (args.memory or args.scaling) and 'seconds' in entry:
                entry['memory'] = memory(case.name, contender, args.threads)
        wrong |= any('wrong' in entry for entry in done['contenders'].values())
        results['cases'].append(done)
        print(f'\n{case_table(done, REFERENCE)}', flush=True)
        if args.out:
            atomic_write(args.out, json.dumps(results, indent=1) + '\n')
            atomic_write(args.out.with_suffix('.md'), report(results))
            if args.scaling and grown(results['cases']):
                draw(results, args.out.with_suffix('.png'))
    for table in summaries(results):
        print(f'\n{table}')
    return int(wrong)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == '__main__':
    sys.exit(main())
