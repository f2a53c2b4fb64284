"""Fetch public float checkpoints, in the form and place that configs want.

python tools/get_checkpoint.py NAME...
"""

import argparse
import sys
from pathlib import Path

from iptq_mm.engine.loading.command_line import mistakes_end_it
from iptq_mm.engine.zoo import find, get, public_checkpoints
from iptq_mm.models.converters import ConversionError


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help='a model of the metafiles, a config, or a checkpoint of --list',
    )
    parser.add_argument('--list', action='store_true', help='show all and end')
    parser.add_argument(
        '--dest', help='folder to write to; default: where the configs look'
    )
    parser.add_argument(
        '--mirror',
        action='append',
        default=[],
        metavar='ADDRESS_OR_FOLDER',
        help='take the files from here (http, https, file or a folder) and not from '
        'their publishers; may be repeated',
    )
    parser.add_argument(
        '--force', action='store_true', help='fetch what is there already, too'
    )
    parser.add_argument(
        '--keep', action='store_true', help='keep the public file beside the converted'
    )
    parser.add_argument(
        '--any-checksum',
        action='store_true',
        help='take a file whose SHA-256 is not the known one',
    )
    parser.add_argument(
        '--trusted',
        action='store_true',
        help='convert a file even if reading it runs code from it (old checkpoints '
        'that hold more than tensors)',
    )
    return parser


def show_all() -> None:
    """Print names, addresses and what is made of each checkpoint."""
    for one in public_checkpoints():
        print(f'{one.name}\n    from {one.url}')
        if one.converter:
            print(f'    converted by {one.converter} to {one.target}')
        print(f'    for {one.main_config[1]}', end='')
        more = len(one.configs) - 1
        print(f' and {more} more' if more else '')


@mistakes_end_it(
    ConversionError, interrupted='the same command goes on where the download was'
)
def main() -> int:
    """Run the tool."""
    parser = make_parser()
    args = parser.parse_args()
    if args.list:
        show_all()
        return 0
    if not args.names:
        parser.error('name a checkpoint, or see --list')
    # Wrong names are found before anything is fetched.
    wanted = {name: find(name) for name in args.names}
    done = set()
    for name, one in wanted.items():
        if one in done:
            continue
        path = get(
            one,
            folder=args.dest,
            mirrors=args.mirror,
            any_checksum=args.any_checksum,
            trusted=args.trusted,
            force=args.force,
            keep=args.keep,
        )
        done.add(one)
        config = dict(one.configs).get(Path(name).stem, one.main_config[1])
        if name.endswith('.py') and Path(name).is_file():
            config = name
        chosen = f' {path}' if args.dest else ''
        print(f'{path}: python tools/quantize.py {config}{chosen}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
