"""Run the test data through a quantized model on several back ends, and compare.

python tools/check_backends.py CONFIG [CHECKPOINT] --backends reference native onnx

Every value that leaves a region is compared with what eager integer mode gives. It ends
with 1 if one differs.
"""

import argparse
import sys

from iptq_mm.engine.audit.backend_check import check_backends
from iptq_mm.engine.loading.command_line import add_integer_model, mistakes_end_it


def parse_args() -> argparse.Namespace:
    """The options of the tool."""
    parser = argparse.ArgumentParser(
        description='Compare back ends bit by bit on the test data'
    )
    add_integer_model(parser)
    parser.add_argument(
        '--backends', nargs='+', default=['reference', 'native'], help='their names'
    )
    parser.add_argument('--images', type=int, help='how many; default: all')
    parser.add_argument('--batch-size', type=int, help='default: of the config')
    return parser.parse_args()


@mistakes_end_it(RuntimeError)
def main() -> int:
    """Run the tool."""
    args = parse_args()
    checks = check_backends(
        args.config,
        args.checkpoint,
        args.backends,
        images=args.images,
        batch_size=args.batch_size,
        cfg_options=args.cfg_options,
    )
    print(f'{"back end":<12}{"values":>14}{"different":>12}{"seconds":>10}')
    for name, check in checks.items():
        figures = f'{check.values:>14}{check.different:>12}{check.seconds:>10.1f}'
        print(f'{name:<12}{figures}')
    return int(any(check.different for check in checks.values()))


if __name__ == '__main__':
    sys.exit(main())
