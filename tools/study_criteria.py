"""Measure how well the criteria predict what functions do to a classifier.

python tools/study_criteria.py CONFIG [CHECKPOINT]
"""

import argparse
import sys

from iptq_mm.engine.loading.command_line import add_model, mistakes_end_it
from iptq_mm.engine.study.run import study_criteria


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Measure every candidate function at every site of a classifier'
    )
    add_model(
        parser,
        'config of a classifier with a quantization',
        override='quantization.weight.bits=4',
    )
    parser.add_argument(
        '--work-dir', help='where to write; default: work_dirs/<config name>_criteria'
    )
    parser.add_argument(
        '--images', type=int, default=64, help='how many images to measure on'
    )
    parser.add_argument(
        '--split',
        choices=['calibration', 'val'],
        default='calibration',
        help='measure on calibration images that calibration left, or on those of '
        'the evaluation',
    )
    parser.add_argument(
        '--no-literal',
        action='store_true',
        help='leave out the literal forms of the candidates',
    )
    parser.add_argument(
        '--draws', type=int, default=1, help='passes backward for a calibration batch'
    )
    return parser.parse_args()


@mistakes_end_it()
def main() -> int:
    """Run the tool."""
    args = parse_args()
    path = study_criteria(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        images=args.images,
        split=args.split,
        literal=not args.no_literal,
        draws=args.draws,
        cfg_options=args.cfg_options,
    )
    print(path.read_text())
    return 0


if __name__ == '__main__':
    sys.exit(main())
