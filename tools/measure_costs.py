"""Measure the native kernels of a model's products on this machine.

python tools/measure_costs.py CONFIG --out costs.json
"""

import argparse
import sys

from iptq_mm.engine.loading.command_line import (
    add_image_shape,
    add_overrides,
    mistakes_end_it,
)
from iptq_mm.engine.search.measure import measure_costs


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Write a table of the times of native kernels, for '
        'tools/search_bits.py --costs on any machine'
    )
    parser.add_argument('config', help='config of a float model with a quantization')
    parser.add_argument('--out', default='costs.json', help='JSON file to write')
    add_image_shape(parser)
    add_overrides(parser)
    return parser.parse_args()


@mistakes_end_it(RuntimeError)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    shape = tuple(args.shape) if args.shape else None
    table = measure_costs(args.config, shape, args.cfg_options)
    table.save(args.out)
    print(f'{args.out}: {len(table.nanoseconds)} kernels on {table.machine}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
