"""Quantize a model under many settings and compare them in one table.

python tools/compare.py configs/_compare_/functions.py
"""

import argparse
import shlex
import signal
import sys
from pathlib import Path

from iptq_mm.engine.loading.command_line import mistakes_end_it
from iptq_mm.engine.sweep import Sweep, load_settings


def parse_args() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description='Quantize a model under many settings; one table of them all. '
        'Rows that are done are not measured again.'
    )
    parser.add_argument('settings', help='list of settings, see configs/_compare_')
    parser.add_argument(
        '--out-dir', help='where to write; default: work_dirs/compare/<settings name>'
    )
    parser.add_argument(
        '--checkpoint', help='float checkpoint; default: load_from of the configs'
    )
    parser.add_argument(
        '--only',
        nargs='+',
        default=[],
        metavar='PATTERN',
        help='names of the rows to measure, with * and ? as in a shell',
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='rows at a time; they share the threads'
    )
    parser.add_argument(
        '--keep', action='store_true', help='keep plans and checkpoints, in DIR/runs'
    )
    parser.add_argument(
        '--list', action='store_true', help='show the rows and measure none'
    )
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error(f'--jobs {args.jobs}: there has to be one')
    return args


@mistakes_end_it()
def main() -> int:
    """Run the tool."""
    args = parse_args()
    folder = args.out_dir or f'work_dirs/compare/{Path(args.settings).stem}'
    command = shlex.join(['python', 'tools/compare.py', *sys.argv[1:]])
    settings = load_settings(args.settings, args.checkpoint)
    comparison = Sweep(settings, folder, command)
    if args.list:
        for setting in comparison.matching(args.only):
            print(f'{comparison.state(setting):8} {setting.name}')
        return 0
    done = comparison.run(args.only, args.jobs, args.keep)
    print(f'written to {folder}/table.md and {folder}/table.csv')
    return 0 if done else 1


if __name__ == '__main__':
    # Ends other processes, and removes temporary folders, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
