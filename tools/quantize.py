"""Quantize a model: observe, analyse, assign, freeze, evaluate, save.

python tools/quantize.py CONFIG [CHECKPOINT]
"""

import argparse
import os
import signal
import sys


def _nothing_begun(*_: object) -> None:
    """End at once: a trace of half an import helps nobody."""
    os.write(2, b'interrupted: nothing was begun\n')
    os._exit(130)


if __name__ == '__main__':  # until everything is imported, which takes seconds
    signal.signal(signal.SIGINT, _nothing_begun)

from iptq_mm.engine.loading.backends import AUTO  # noqa: E402
from iptq_mm.engine.loading.command_line import (  # noqa: E402
    add_model,
    add_run,
    mistakes_end_it,
    run_arguments,
)
from iptq_mm.engine.run.pipeline import quantize_and_compare  # noqa: E402
from iptq_mm.engine.run.processes import OtherProcessError  # noqa: E402


def make_parser() -> argparse.ArgumentParser:
    """The options of mm's own tools."""
    parser = argparse.ArgumentParser(
        description='Quantize a model to integers and compare it with its float self'
    )
    add_model(
        parser,
        'config with a quantization dict',
        override='quantization.weight.bits=4',
    )
    add_run(
        parser,
        'go on after the last finished phase in the work dir',
        'now',
        'native where it can run, for this evaluation only',
    )
    return parser


@mistakes_end_it(
    OtherProcessError,
    interrupted='finished phases are kept in the work dir; the same command with '
    '--resume goes on after them',
)
def main() -> int:
    """Run the tool."""
    args, options = run_arguments(make_parser())
    options['backend'] = options['backend'] or AUTO
    quantize_and_compare(args.config, args.checkpoint, **options)
    return 0


if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
