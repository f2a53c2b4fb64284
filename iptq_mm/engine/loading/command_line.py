"""Command lines of the tools: shared options, and messages for mistakes."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import wraps

from mmengine.config import DictAction

from ...calibration import ConfigError
from ...plan import PlanError
from ...program import ProgramError
from ...qtensor import UnsupportedOperationError
from ...statistics import NotFiniteError
from .foreign import described, is_out_of_memory

#: Mistakes of the user, in every tool.
MISTAKES: tuple[type[Exception], ...] = (
    ConfigError,
    NotFiniteError,
    OSError,
    OverflowError,
    PlanError,
    ProgramError,
    UnsupportedOperationError,
)

#: Exit status of what Ctrl-C ended, as shells have it.
INTERRUPTED = 130

_MEMORY = (
    'out of memory: use smaller batches (quantization.calibration.batch_size, '
    'batch_size of test_dataloader) or smaller images; gradients need most '
    "(criterion 'output_error', activation.search_images, weight.guided)"
)


def add_model(
    parser: ArgumentParser,
    config: str,
    checkpoint: str = 'float checkpoint',
    override: str = '',
) -> None:
    """Add ``CONFIG [CHECKPOINT] [--cfg-options KEY=VALUE ...]`` of mm's tools.

    Args:
        parser: Of the tool.
        config: What the config is, for the help.
        checkpoint: What the checkpoint is, for the help.
        override: See :func:`add_overrides`.
    """
    parser.add_argument('config', help=config)
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help=f'{checkpoint}; default: load_from of the config',
    )
    add_overrides(parser, override)


def add_integer_model(parser: ArgumentParser) -> None:
    """Add a model that is quantized already, see :func:`add_model`."""
    add_model(parser, 'integer.py that tools/quantize.py wrote', 'integer.pth')


def add_image_shape(parser: ArgumentParser) -> None:
    """Add ``--shape H W``, the size of the image that a model gets."""
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='size of the image that the model gets; default: of its test pipeline',
    )


def add_overrides(parser: ArgumentParser, example: str = '') -> None:
    """Add ``--cfg-options KEY=VALUE ...``.

    Args:
        parser: Of the tool.
        example: An override, for the help.
    """
    shown = f'; e.g. {example}' if example else ''
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help=f'override settings of the config{shown}',
    )


def mistakes_end_it(
    *others: type[Exception], status: int = 1, interrupted: str = ''
) -> Callable[[Callable[[], int]], Callable[[], int]]:
    """Let mistakes of the user end a tool with a message, not a trace.

    So do Ctrl-C and a lack of memory. Any other error is a bug and shows its trace.

    Args:
        *others: What is a mistake of the user in this tool, beside :data:`MISTAKES`.
        status: Exit status of the tool then.
        interrupted: What Ctrl-C leaves, and how to go on.

    Returns:
        A decorator for the tool's main function, which returns its exit status.
    """
    caught = (*MISTAKES, *others)

    def decorate(main: Callable[[], int]) -> Callable[[], int]:
        @wraps(main)
        def explained() -> int:
            try:
                return main()
            except KeyboardInterrupt:
                print(
                    f'interrupted{interrupted and ": "}{interrupted}', file=sys.stderr
                )
                return INTERRUPTED
            except Exception as error:
                if is_out_of_memory(error):
                    message = f'{_MEMORY} ({described(error)})'
                elif isinstance(error, caught):
                    message = str(error)
                else:
                    raise
            print(f'error: {message}', file=sys.stderr)
            return status

        return explained

    return decorate
