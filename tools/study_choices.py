"""Show what rules choose for a classifier, and what comes of it.

python tools/study_choices.py CONFIG [CHECKPOINT]
"""

import argparse
import sys

from iptq_mm.engine.loading.command_line import add_model, mistakes_end_it
from iptq_mm.engine.study.choices import study_choices


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Choose the functions of a classifier by many rules; measure what '
        'comes of it'
    )
    add_model(
        parser,
        'config of a classifier with a quantization',
        override='quantization.weight.bits=4',
    )
    parser.add_argument(
        '--work-dir', help='where to write; default: work_dirs/<config name>_choices'
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
        '--candidates',
        metavar='FILE',
        help='config with the candidates, one of configs/_base_/candidates; default: '
        'those of CONFIG',
    )
    parser.add_argument(
        '--literal',
        action='store_true',
        help='add the literal forms of the candidates',
    )
    return parser.parse_args()


@mistakes_end_it()
def main() -> int:
    """Run the tool."""
    args = parse_args()
    path = study_choices(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        candidates=args.candidates,
        images=args.images,
        split=args.split,
        literal=args.literal,
        cfg_options=args.cfg_options,
    )
    print(path.read_text())
    return 0


if __name__ == '__main__':
    sys.exit(main())
