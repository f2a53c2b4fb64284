"""Watches what the quantizers of a program clip, in a sample of its calls."""

from __future__ import annotations

import itertools
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ...intmath import QParams
from ...modes.shared_integers import integers_for_consumer
from ...out_of_range import (
    CalibratedRange,
    OutOfRangeLog,
    departures,
    see_image,
    see_input,
)
from ...qtensor.hiding import ADDITIVE
from ..backends.base import Executable, backend_named
from ..backends.boundary import quantized_inputs
from ..ir.graph import Program
from ..ir.watch import WatchedProgram
from .dynamic_rows.proof import with_rows
from .dynamic_rows.sizes import AnyRows

#: One row (image) of so many is counted. As long as a watched program takes less than
#: 3.8 times as long as the program, counting costs less than 3 %. Measured with AVX2:
#: 1.9 times, see docs/architecture.md.
EVERY = 128
#: Watched programs that are kept.
_MOST = 8


class OutOfCalibrationWarning(UserWarning):
    """A model sees values that its calibration did not see."""


class Watch:
    """Counts what quantizers clip, in some of the calls of a region or program.

    The results of a call are those of the usual program in any case. After a call that
    is to be counted, a watched program (:mod:`~iptq_mm.program.ir.watch`) computes the
    same inputs once more. Which calls are counted depends on the number of rows of
    each call only, so that the same calls give the same log. The first one is counted.

    Args:
        every: One row of so many is counted; 1: every row of every call.
        calibrated: What calibration clipped, as the plan has it; None: unknown.
        warn: Whether to warn, once, when values leave their calibration.

    Attributes:
        log: What was counted.

    Raises:
        ValueError: If ``every`` is below 1.
    """

    def __init__(
        self,
        every: int = EVERY,
        calibrated: Mapping[str, CalibratedRange] | None = None,
        warn: bool = True,
    ) -> None:
        if every < 1:
            raise ValueError(
                f'one row of {every} cannot be counted: every is 1 or more'
            )
        self.log = OutOfRangeLog()
        self._every, self._calibrated, self._warn = every, calibrated, warn
        self._credit = 0
        self._kept: OrderedDict[tuple[int, int | None], tuple] = OrderedDict()
        self._single: OrderedDict[int, tuple[Program, Program | None]] = OrderedDict()
        self._lock = threading.Lock()

    def see(
        self,
        executable: Executable,
        backend: str,
        reals: Sequence[Tensor],
        one_row: Callable[[], Program | None] | None = None,
    ) -> None:
        """Take note of a call, and count its values if it is time.

        Args:
            executable: What ran.
            backend: Name of its back end.
            reals: Its real inputs.
            one_row: Makes the program for the first row of the inputs; None, or what it
                returns: there is none, so that all rows of a call are counted or none.
        """
        rows = len(reals[0]) if reals and reals[0].dim() else 1
        with self._lock:
            self.log.rows += rows
            self._credit += rows
            if self._every > 1 and self._credit <= 0:
                return
            any_rows, program = isinstance(executable, AnyRows), executable.program
            counted = self._rows(rows, any_rows)
            if not counted:
                return
            if counted == rows > 1 and self._every > 1 and not any_rows and one_row:
                made = self._for_one_row(program, one_row)
                program, counted = (program, rows) if made is None else (made, 1)
            self._credit -= counted * self._every
            self.log.counted += counted
            part = [x[:counted] for x in reals] if counted < rows else reals
            self._count(program, backend, part, counted if any_rows else None)
            found = self._warn and departures(self.log, self._calibrated)
            if found:
                self._warn = False
                warnings.warn(
                    f'values leave what calibration saw: {found[0]}; so do '
                    f'{len(found) - 1} other quantizers. Calibrate with inputs like '
                    'these, or check how they are made (normalization, colours)',
                    OutOfCalibrationWarning,
                    stacklevel=2,
                )

    def _rows(self, rows: int, any_rows: bool) -> int:
        """Rows of a call that are counted now."""
        if self._every == 1 or not any_rows:
            return rows
        # Powers of two, for a few programs only.
        most = min(rows, -(-self._credit // self._every))
        return 1 << (most.bit_length() - 1) if most else 0

    def _for_one_row(
        self, program: Program, one_row: Callable[[], Program | None]
    ) -> Program | None:
        """The same program for one row, made now if it is not kept."""
        key = id(program)
        if key not in self._single:
            # With the program, so that its id stays its own.
            self._single[key] = program, one_row()
            while len(self._single) > _MOST:
                self._single.popitem(last=False)
        return self._single[key][1]

    def _count(
        self, program: Program, backend: str, reals: Sequence[Tensor], rows: int | None
    ) -> None:
        """Count what a program clips, with another number of rows if one is given."""
        device = reals[0].device if reals else torch.device('cpu')
        watched, executable = self._watched(program, backend, device, rows)
        number = itertools.count()
        for port, x in zip(program.inputs, reals, strict=True):
            if port.given:  # exact
                continue
            i, value = next(number), program.values[port.value]
            if port.pixels is not None:
                see_image(self.log, f'input:{i}', x, port.pixels)
                continue
            qparams = QParams(port.scale, value.low, value.high)
            if qparams != ADDITIVE:  # a mask: whatever hides is the same
                shared = integers_for_consumer(x, qparams) is not None
                see_input(self.log, f'input:{i}', x, qparams, shared)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            conversions = executable.conversions
            executable.run(quantized_inputs(executable.program, reals, conversions))
        watched.take(self.log)

    def _watched(
        self, program: Program, backend: str, device: torch.device, rows: int | None
    ) -> tuple[WatchedProgram, Executable]:
        """The watched program, made now if it is not kept."""
        key = id(program), rows
        if key not in self._kept:
            sized = program if rows is None else with_rows(program, rows)
            watched = WatchedProgram(sized, device)
            made = backend_named(_runs_watched(backend, device))
            # With the program, so that its id stays its own.
            prepared = made.prepare(watched.program, device)
            self._kept[key] = program, watched, prepared
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        _, watched, executable = self._kept[key]
        return watched, executable


def _runs_watched(backend: str, device: torch.device) -> str:
    """The back end that runs watched programs for another one.

    A graph of operations without effects, as ``compiled`` and ``onnx`` make it, cannot
    count.
    """
    return 'reference' if backend == 'reference' or device.type != 'cpu' else 'native'
