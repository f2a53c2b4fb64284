"""Convert a detector of Swin-Transformer-Object-Detection to mmdet 3."""

import argparse
import sys

from iptq_mm.models.converters import (
    ConversionError,
    convert_file,
    convert_swin_detector,
)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', help='the checkpoint to read')
    parser.add_argument('dst', help='the checkpoint to write')
    parser.add_argument(
        '--trusted',
        action='store_true',
        help='read the file even if that runs code from it (old checkpoints that '
        'hold more than tensors)',
    )
    return parser.parse_args()


def main() -> None:
    """Convert one file."""
    args = parse_args()
    try:
        state = convert_file(
            args.src, args.dst, convert_swin_detector, trusted=args.trusted
        )
    except (ConversionError, OSError) as error:
        sys.exit(str(error))
    print(f'{len(state)} tensors written to {args.dst}')


if __name__ == '__main__':
    main()
