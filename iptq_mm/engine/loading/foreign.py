"""Errors of mm's code, the user's and their files' become messages."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ...calibration import ConfigError
from ...plan import PlanError

_OURS = __name__.partition('.')[0]
#: Characters of a foreign error that a message repeats.
_LONGEST = 300


@contextmanager
def foreign_errors(what: str, advice: str) -> Iterator[None]:
    """Say what could not be done, why, and what to do, where foreign code fails.

    What code of this package raises passes: it is a message already, or a bug whose
    trace is wanted. So does a lack of memory.

    Args:
        what: What could not be done, the beginning of a sentence.
        advice: What the user can do about it.

    Raises:
        ConfigError: In the place of any foreign error.
    """
    try:
        yield
    except (ConfigError, PlanError):
        raise
    except Exception as error:
        if is_out_of_memory(error) or _is_ours(error):
            raise
        raise ConfigError(f'{what}: {described(error)}; {advice}') from error


def described(error: BaseException) -> str:
    """Kind, beginning and place of an error."""
    # A KeyError quotes what it says when it becomes a string.
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    line = ' '.join(str(said).split())
    line = line if len(line) <= _LONGEST else f'{line[:_LONGEST]} …'
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = ''.join(f' ({frame.filename}:{frame.lineno})' for frame in place)
    kind = type(error).__name__
    return f'{kind}: {line}{where}' if line else f'{kind}{where}'


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was not enough memory, of the machine or of an accelerator."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    # On CPUs torch raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and 'DefaultCPUAllocator' in str(error)


def _is_ours(error: BaseException) -> bool:
    """Whether code of this package raised it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    name = frames[-1].f_globals.get('__name__') or '' if frames else ''
    return name.partition('.')[0] == _OURS
