"""Make images to calibrate a classifier with, from its weights alone.

python tools/make_calibration_images.py CONFIG [CHECKPOINT] --out DIR
"""

import argparse
import sys

from iptq_mm.engine.synthetic_images import LIST, make_calibration_images


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(
        description='Make images to calibrate a classifier with, from its weights alone'
    )
    parser.add_argument('config', help='config of an mmpretrain classifier')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='float checkpoint; default: load_from of the config',
    )
    parser.add_argument('--out', required=True, help='folder to write')
    parser.add_argument('--num-images', type=int, default=32)
    parser.add_argument(
        '--steps',
        type=int,
        default=15,
        help='steps of optimization; 0: dead leaves as sampled',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='default: img_size of the backbone',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings, key=value',
    )
    return parser.parse_args()


def main() -> int:
    """Run the tool; mistakes of the user end it with a message, not a trace."""
    args = parse_args()
    from iptq_mm.calibration import ConfigError

    try:
        out = make_calibration_images(
            args.config,
            args.checkpoint,
            out=args.out,
            num_images=args.num_images,
            steps=args.steps,
            size=args.size,
            seed=args.seed,
            cfg_options=args.cfg_options,
        )
    except (ConfigError, OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(
        f'{out}: made. To calibrate on it, quantization.calibration.dataloader.dataset '
        f"is dict(type='CustomDataset', data_root='{out}', ann_file='{LIST}', "
        "pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])"
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
