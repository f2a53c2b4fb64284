"""Choose the bits of every site within budgets of bytes, milliseconds or loss.

python tools/search_bits.py CONFIG [CHECKPOINT] --budget bytes=W4A8
python tools/search_bits.py CONFIG [CHECKPOINT] --budget bytes=W3A8..W8A8/8
"""

import argparse
import sys

from iptq_mm.engine.loading.command_line import add_model, mistakes_end_it
from iptq_mm.engine.search.run import search_bits


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Choose bits by measured sensitivities and costs; write configs'
    )
    add_model(parser, 'config of a float model with a quantization')
    parser.add_argument(
        '--budget',
        nargs='+',
        required=True,
        metavar='NAME=VALUE',
        help='the most bytes of weights, ms of an image or loss (relative squared '
        'error of the outputs): a number, the figure of a uniform model (bytes=W4A8), '
        'or several, with commas or as W4A8..W8A8/5: then the whole front',
    )
    parser.add_argument(
        '--work-dir', help='where to write; default: work_dirs/<config name>_bits'
    )
    parser.add_argument(
        '--costs',
        help='table that tools/measure_costs.py wrote; default: measured on this '
        'machine',
    )
    parser.add_argument(
        '--weights', type=int, nargs='+', default=[3, 4, 5, 6, 8], help='their bits'
    )
    parser.add_argument(
        '--activations',
        type=int,
        nargs='+',
        default=[4, 6, 8],
        help='their bits; 16: inputs of linear layers may have so many',
    )
    parser.add_argument(
        '--groups',
        type=int,
        nargs='+',
        default=[],
        help='sizes of groups of weights that share a factor, beside that of the '
        'config; 0: no groups',
    )
    parser.add_argument(
        '--functions',
        action='store_true',
        help='choose the functions by the same budgets, too',
    )
    return parser.parse_args()


@mistakes_end_it(
    interrupted='what was measured is kept in the work dir; the same command goes on'
)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    path = search_bits(
        args.config,
        args.checkpoint,
        budgets=args.budget,
        work_dir=args.work_dir,
        costs=args.costs,
        weights=args.weights,
        activations=args.activations,
        groups=args.groups,
        functions=args.functions,
        cfg_options=args.cfg_options,
    )
    print(path.read_text() if path.suffix == '.md' else f'wrote {path}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
