"""Command lines of the tools: shared options, and messages for mistakes."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import wraps
from typing import Any

from mmengine.config import DictAction

from ...calibration import ConfigError
from ...plan import PlanError
from ...program import ProgramError
from ...qtensor import UnsupportedOperationError
from ...statistics import NotFiniteError
from .foreign import described, is_out_of_memory
from .threads import choose_threads

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

#: Options of a run that its function takes under the same names.
_RUN = (
    'work_dir',
    'out',
    'resume',
    'cfg_options',
    'launcher',
    'backend',
    'device',
    'float_results',
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


def add_run(
    parser: ArgumentParser, resume: str, backend: str, without: str = 'eager'
) -> None:
    """Add the options of a run that makes a work dir: those of mm's own tools.

    Args:
        parser: Of the tool.
        resume: What ``--resume`` does, for the help.
        backend: When the back end runs the integer model, for the help.
        without: What runs it if neither command nor config say, for the help.
    """
    parser.add_argument(
        '--work-dir', help='where to write; default: work_dirs/<config name>'
    )
    parser.add_argument('--out', help='pickle file for the integer predictions')
    parser.add_argument('--resume', action='store_true', help=resume)
    parser.add_argument(
        '--backend',
        help=f'what runs the integer model {backend}, and by integer.py: native, '
        'compiled, onnx or reference, or operation by operation (eager); default: '
        f'backend of the config, or {without}',
    )
    parser.add_argument(
        '--device',
        help='where the models run: cpu, cuda, cuda:1, ...; default: the GPU, if '
        'there is one',
    )
    floats = parser.add_mutually_exclusive_group()
    floats.add_argument(
        '--no-float',
        action='store_true',
        help='do not evaluate the float model: the integer metrics are the same',
    )
    floats.add_argument(
        '--float-results',
        metavar='FILE',
        help='take the float metrics from an earlier run instead: its work dir, its '
        'float.json or results.json, or predictions of the float model (.pkl, from '
        '--out of a test)',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def run_arguments(parser: ArgumentParser) -> tuple[Namespace, dict[str, Any]]:
    """Parse the options of :func:`add_model` and :func:`add_run`.

    Launchers that pass the rank as an option get it into the environment, where
    mmengine looks for it.

    Returns:
        All of them, and the arguments of the function that runs.
    """
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    options = {name: getattr(args, name) for name in _RUN}
    return args, {**options, 'run_float': not args.no_float}


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

    So do Ctrl-C and a lack of memory. Any other error is a bug and shows its trace. The
    tool computes on as many threads as the machine has cores to spare.

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
                choose_threads()
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
