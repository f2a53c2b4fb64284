"""Print how many sites of each model got which function.

python tools/paper_tables.py WORK_DIR ...
"""

import argparse
import sys

from iptq_mm.engine.layers import function_table
from iptq_mm.engine.loading.command_line import mistakes_end_it
from iptq_mm.utils.files import atomic_write


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Print how many sites got which function, as Table 3 of "Mixed '
        'Non-linear Quantization for Vision Transformers"; a line for each model'
    )
    parser.add_argument(
        'work_dirs',
        nargs='+',
        metavar='WORK_DIR',
        help='folder that tools/quantize.py wrote',
    )
    parser.add_argument('--out', help='file for the table, Markdown')
    return parser.parse_args()


@mistakes_end_it()
def main() -> int:
    """Run the tool."""
    args = parse_args()
    text = function_table(args.work_dirs)
    if args.out:
        atomic_write(args.out, text + '\n')
    print(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
