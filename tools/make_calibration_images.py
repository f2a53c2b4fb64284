"""Make images to calibrate a model with, from its weights alone.

python tools/make_calibration_images.py CONFIG [CHECKPOINT] --out DIR
"""

import argparse
import sys

from iptq_mm.engine.loading.command_line import add_model, mistakes_end_it
from iptq_mm.engine.synthetic.folder import LIST
from iptq_mm.engine.synthetic.images import make_calibration_images


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Make images to calibrate a model with, from its weights alone. '
        'An interrupted run is continued by the same command.'
    )
    add_model(parser, 'config of a classifier or detector')
    parser.add_argument('--out', required=True, help='folder to write')
    parser.add_argument('--images', type=int, default=32, help='how many')
    parser.add_argument(
        '--steps',
        type=int,
        default=100,
        help='steps of optimization; 0: images as sampled',
    )
    parser.add_argument(
        '--start',
        choices=['dead_leaves', 'noise'],
        default='dead_leaves',
        help='images that are optimized; noise is white',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='default: img_size of the backbone',
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images optimized together'
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


@mistakes_end_it(ValueError)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    out = make_calibration_images(
        args.config,
        args.checkpoint,
        out=args.out,
        num_images=args.images,
        steps=args.steps,
        start=args.start,
        size=args.size,
        batch_size=args.batch_size,
        seed=args.seed,
        cfg_options=args.cfg_options,
    )
    print(
        f'{out}/{LIST} lists the images. To calibrate on them, inherit '
        'configs/_base_/calibration/optimized.py (optimized_det.py for a detector) '
        f'and set quantization.calibration.dataloader.dataset.data_root to {out}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
