"""Say in words why an integer model lost accuracy, and what to try.

python tools/diagnose.py WORK_DIR [--parts]
"""

import argparse
import json
import sys
from dataclasses import asdict

from iptq_mm.engine.diagnose import diagnose
from iptq_mm.engine.loading.command_line import add_overrides, mistakes_end_it
from iptq_mm.utils.files import atomic_write


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Make every layer integer by itself, all others float, on images '
        'of the evaluation, and say what costs most, why, and what to try'
    )
    parser.add_argument(
        'work_dir', metavar='WORK_DIR', help='folder that tools/quantize.py wrote'
    )
    parser.add_argument(
        '--config', help='config that was quantized; default: as the run has kept it'
    )
    parser.add_argument(
        '--checkpoint', help='float checkpoint; default: that of the run'
    )
    parser.add_argument(
        '--images', type=int, default=4, help='how many to look at; default: 4'
    )
    parser.add_argument(
        '--parts',
        action='store_true',
        help='measure weights, inputs, function and result of every layer by '
        'themselves: five times as long',
    )
    parser.add_argument(
        '--json',
        help='file for the findings and all effects; WORK_DIR/diagnosis.json is shown '
        'by tools/report.py',
    )
    add_overrides(parser)
    return parser.parse_args()


@mistakes_end_it()
def main() -> int:
    """Run the tool."""
    args = parse_args()
    found = diagnose(
        args.work_dir,
        args.config,
        args.checkpoint,
        count=args.images,
        cfg_options=args.cfg_options,
        parts=args.parts,
    )
    print(found.text(most=len(found.effects) if args.parts else 10))
    if args.json:
        atomic_write(args.json, json.dumps(asdict(found), indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
