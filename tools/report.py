"""Make the report of a run again, or compare runs on one page.

python tools/report.py WORK_DIR
python tools/report.py WORK_DIR WORK_DIR ... [--out FILE]
"""

import argparse
import sys

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.command_line import mistakes_end_it
from iptq_mm.engine.report import write_comparison, write_report


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Write report.html of a run, from what the run left in its work '
        'dir, or a page that compares several runs. A page is one file, and loads '
        'nothing.'
    )
    parser.add_argument(
        'work_dirs',
        nargs='+',
        metavar='WORK_DIR',
        help='folder that tools/quantize.py or tools/train.py wrote',
    )
    parser.add_argument(
        '--out',
        help='file of a comparison; default: comparison.html in the first folder',
    )
    return parser.parse_args()


@mistakes_end_it()
def main() -> int:
    """Run the tool."""
    args = parse_args()
    if len(args.work_dirs) > 1:
        path = write_comparison(args.work_dirs, args.out)
    elif args.out:
        raise ConfigError(
            '--out is for comparisons: the report of one run is report.html in its '
            'folder'
        )
    else:
        path = write_report(args.work_dirs[0])
    print(f'written: {path}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
