"""Draw what quantized models do at their layers, beside the float model.

python tools/paper_figures.py layers CONFIG WORK_DIR ...
python tools/paper_figures.py histogram CONFIG WORK_DIR --site SITE
"""

import argparse
import sys

from iptq_mm.engine.layers import draw_histogram, draw_layers
from iptq_mm.engine.loading.command_line import add_overrides, mistakes_end_it


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Draw what quantized models do at their layers, beside the float '
        'model on the same images; pictures go to the (first) work dir'
    )
    commands = parser.add_subparsers(dest='command', required=True)
    layers = commands.add_parser(
        'layers',
        help='SQNR of every GELU, Softmax and LayerNorm of one model or several, and '
        'what each layer loses of it',
    )
    _add_models(layers, several=True)
    layers.add_argument(
        '--asqnr',
        action='store_true',
        help='draw the ASQNR of "Mixed Non-linear Quantization", not 10 log10 of all '
        'signals over all errors',
    )
    histogram = commands.add_parser(
        'histogram', help='distribution of the output of one layer'
    )
    _add_models(histogram, several=False)
    histogram.add_argument(
        '--site',
        required=True,
        help='region:site as in plan.json, or a part of it that no other has',
    )
    for command, images in ((layers, 32), (histogram, 8)):
        command.add_argument(
            '--images', type=int, default=images, help=f'how many; default: {images}'
        )
    return parser.parse_args()


def _add_models(parser: argparse.ArgumentParser, several: bool) -> None:
    parser.add_argument('config', help='config of the float model, as it was quantized')
    parser.add_argument(
        'work_dirs',
        nargs='+' if several else 1,
        metavar='WORK_DIR',
        help='folder that tools/quantize.py wrote',
    )
    parser.add_argument(
        '--checkpoint', help='float checkpoint; default: load_from of the config'
    )
    parser.add_argument(
        '--split',
        choices=['test', 'calibration'],
        default='test',
        help='images of the evaluation, or those that calibrate',
    )
    add_overrides(parser)


@mistakes_end_it()
def main() -> int:
    """Run the tool."""
    args = parse_args()
    options = dict(count=args.images, split=args.split, cfg_options=args.cfg_options)
    if args.command == 'layers':
        written = draw_layers(
            args.config, args.work_dirs, args.checkpoint, literal=args.asqnr, **options
        )
    else:
        (folder,) = args.work_dirs
        picture = draw_histogram(
            args.config, folder, args.site, args.checkpoint, **options
        )
        written = [picture]
    for path in written:
        print(f'written: {path}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
