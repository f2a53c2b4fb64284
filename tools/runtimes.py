"""Make the table of runtimes: which of them give the integers of exported models.

python tools/runtimes.py vit.onnx swin.onnx --out table.md

Each model is a file of tools/export.py, with what it wrote beside. Each runtime that is
installed runs it on the known input. Where the outputs are not exact, or the model is
not taken, each kind of operator of the model is tried by itself. A runtime that is not
installed gets a row that says how to install it.
"""

import argparse
import json
import sys
from pathlib import Path

from iptq_mm.engine.loading.command_line import mistakes_end_it
from iptq_mm.engine.runtimes.adapters import RUNTIMES
from iptq_mm.engine.runtimes.table import (
    joined_rows,
    rows_text,
    runtime_rows,
    with_table,
)
from iptq_mm.utils.files import atomic_write


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Which runtimes give the integers of exported models'
    )
    parser.add_argument('models', nargs='+', type=Path, help='files of tools/export.py')
    parser.add_argument(
        '--runtimes',
        nargs='*',
        default=list(RUNTIMES),
        metavar='NAME',
        help=f'which of them; default: {", ".join(RUNTIMES)}',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=600,
        help='how long each may take for a model, and for its operators; default: 600',
    )
    parser.add_argument(
        '--also',
        nargs='+',
        default=(),
        metavar='FILE',
        help='files of --json, of the same models: rows of runtimes that cannot be '
        'installed beside these',
    )
    parser.add_argument('--out', help='file for the table as Markdown')
    parser.add_argument('--page', help='page of Markdown whose table it replaces')
    parser.add_argument('--json', help='file for all results')
    return parser.parse_args()


@mistakes_end_it(RuntimeError)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    rows = runtime_rows(
        args.models, args.runtimes, args.seconds, lambda line: print(line, flush=True)
    )
    also = [json.loads(Path(path).read_text(encoding='utf-8')) for path in args.also]
    rows = joined_rows(rows, [row for file in also for row in file], args.models)
    text = rows_text(rows) + '\n'
    print(f'\n{text}')
    if args.out:
        atomic_write(args.out, text)
    if args.page:
        page = Path(args.page)
        atomic_write(page, with_table(page.read_text(encoding='utf-8'), text))
    if args.json:
        atomic_write(args.json, json.dumps(rows, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
