"""The ``native`` back end: commands in C++, the rest by the reference."""

from __future__ import annotations

import sys
from functools import lru_cache
from logging import INFO, WARNING

import torch
from mmengine.logging import print_log
from torch import nn

from ....native.library import NativeError, available, level, library
from ....registry import BACKENDS
from ...ir.graph import Program
from ...ir.watch import WATCH
from ..base import Backend, Executable
from ..boundary import Conversions, fastest_conversions
from .arenas import Arenas
from .context import Unsupported
from .program import NativeProgram


@BACKENDS.register_module('native')
class Native(Backend):
    """C++ on the CPU; the reference where there is no compiler. It logs which."""

    devices = ('cpu',)

    def __init__(self) -> None:
        # Programs that one back end prepares take turns in the same memory.
        self._arenas = Arenas()

    @staticmethod
    def compiles() -> bool:
        """Whether C++ runs here, and not the reference in its place."""
        return available()

    def conversions(self) -> Conversions:
        """The library's where it is available."""
        return fastest_conversions()

    def accelerate(self, model: nn.Module) -> None:
        """See the base class: RoIAlign runs on all threads."""
        # A model with a RoIAlign has imported mmcv. Programs need no mmcv, so it is not
        # imported for them.
        if 'mmcv.ops' in sys.modules and available():
            from .roi_align import accelerate

            accelerate(model)

    def prepare(self, program: Program, device: torch.device) -> Executable:
        """See the base class."""
        if device.type != 'cpu':
            raise RuntimeError(
                f'the native back end runs on the CPU, not on {device}: hide the GPU '
                '(CUDA_VISIBLE_DEVICES=-1), or name the back end compiled or reference'
            )
        try:
            library()
        except NativeError as error:
            _say(f"back end 'native': {error}. The reference runs instead.", WARNING)
            return _reference(program, device)
        try:
            made = NativeProgram(program, self._arenas)
        except Unsupported as error:
            _say(f"back end 'native': {error}. The reference runs instead.", WARNING)
            return _reference(program, device)
        if any(node.kind == WATCH for node in program.nodes):
            return made  # it runs now and then: its speed is no news
        where = f"back end 'native': {level()}, {torch.get_num_threads()} threads"
        if not made.left:
            _say(f'{where}, region {program.region}')
        else:
            reasons = '; '.join(sorted(made.fallbacks))
            _say(
                f'{where}, region {program.region}: the reference runs {made.left} of '
                f'{len(program.nodes)} nodes ({reasons})',
                WARNING,
            )
        return made


def _reference(program: Program, device: torch.device) -> Executable:
    """A program as the reference prepares it; back ends do not import one another."""
    return BACKENDS.build(dict(type='reference')).prepare(program, device)


@lru_cache(maxsize=64)
def _say(message: str, log_level: int = INFO) -> None:
    """Log a message once in this process."""
    print_log(message, 'current', log_level)
