"""Train a quantized model on its integers: quantize, train, evaluate, save.

python tools/train.py CONFIG [CHECKPOINT]
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

from iptq_mm.calibration import ConfigError  # noqa: E402
from iptq_mm.engine.loading.command_line import (  # noqa: E402
    add_model,
    add_run,
    mistakes_end_it,
    run_arguments,
)
from iptq_mm.engine.run.processes import OtherProcessError  # noqa: E402
from iptq_mm.engine.train.pipeline import train_and_compare  # noqa: E402


def make_parser() -> argparse.ArgumentParser:
    """The options of mm's own tools."""
    parser = argparse.ArgumentParser(
        description='Quantize a model, train its integers, and compare it with its '
        'float self'
    )
    add_model(
        parser,
        'config with a quantization and a qat dict',
        override='qat.optim_wrapper.optimizer.lr=1e-5',
    )
    resume = 'go on where an interrupted run in the work dir was'
    add_run(parser, resume, 'after the training')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='refused: integers are exact in float32 alone',
    )
    return parser


@mistakes_end_it(
    OtherProcessError,
    interrupted='calibration and the last checkpoint are kept in the work dir; the '
    'same command with --resume goes on after them',
)
def main() -> int:
    """Run the tool."""
    args, options = run_arguments(make_parser())
    if args.amp:
        raise ConfigError(
            '--amp: integers are exact in float32 alone: train without mixed precision'
        )
    train_and_compare(args.config, args.checkpoint, **options)
    return 0


if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
