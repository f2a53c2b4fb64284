"""``out_of_range``: the log of what a quantized model clips while it runs."""

from __future__ import annotations

import warnings
from types import TracebackType

from torch import nn

from ...modes import Integer, Region, regions_in
from ...out_of_range import OutOfRangeLog, departures
from .deployed import Deployed
from .session import Session
from .watch import EVERY, OutOfCalibrationWarning, Watch


class out_of_range:  # noqa: N801  (used as a function)
    """Logs what the quantizers of a model clip, as long as the context lasts.

    Example::

        with out_of_range(model) as logs:
            for image in images:
                model(image)
        for site, seen in logs['backbone'].sites.items():
            print(site, seen.share, seen.farthest)

    Integer mode counts every call, and it runs regions with modules kept float while
    they are watched. Programs of back ends and of :class:`Deployed` count
    one row (image) of ``every``; ``rows`` and ``counted`` of a log say how many there
    were. Counted numbers are the same for all back ends.

    Args:
        model: A quantized model, or a :class:`Deployed` program.
        every: One row of so many is counted; 1: all.
        warn: Whether to warn, once for each region, when values leave their
            calibration.

    Attributes:
        logs: The log of each region, by name.

    Raises:
        ValueError: If the model has no quantized region, or is watched already, or
            ``every`` is below 1.
    """

    def __init__(
        self, model: nn.Module | Deployed, every: int = EVERY, warn: bool = True
    ) -> None:
        self._warn = warn
        self._eager: dict[str, Integer] = {}
        self._watched: list[Session | Deployed] = []
        self.logs: dict[str, OutOfRangeLog] = {}
        if isinstance(model, Deployed):
            self._watch(model.program.region, model, Watch(every, None, warn))
            return
        regions = {n: r for n, r in regions_in(model).items() if _is_integer(r)}
        if not regions:
            raise ValueError(
                'the model has no quantized region whose values could be counted: '
                'quantize it, or load integer.pth, first'
            )
        for name, region in regions.items():
            mode = region.mode
            assert isinstance(mode, Integer)
            # Between modules that stay float, integer mode itself has to count.
            if isinstance(region.session, Session) and not mode.plan.kept_float:
                watch = Watch(every, mode.plan.calibrated, warn)
                self._watch(name, region.session, watch)
                continue
            if mode.log is not None:
                raise ValueError(f"region '{name}' is watched already")
            self.logs[name] = mode.log = OutOfRangeLog()
            self._eager[name] = mode

    def _watch(self, name: str, runs: Session | Deployed, watch: Watch) -> None:
        if runs.watching is not None:
            self.finish()
            raise ValueError(f"region '{name}' is watched already")
        runs.watching = watch
        self.logs[name] = watch.log
        self._watched.append(runs)

    def __enter__(self) -> dict[str, OutOfRangeLog]:
        """Returns the logs."""
        return self.logs

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.finish()

    def finish(self) -> dict[str, OutOfRangeLog]:
        """Count no longer; returns the logs."""
        for runs in self._watched:
            runs.watching = None
        for name, mode in self._eager.items():
            mode.log = None
            found = self._warn and departures(self.logs[name], mode.plan.calibrated)
            if found:
                warnings.warn(
                    f"region '{name}': values leave what calibration saw: {found[0]}; "
                    f'so do {len(found) - 1} other quantizers',
                    OutOfCalibrationWarning,
                    stacklevel=2,
                )
        self._watched, self._eager = [], {}
        return self.logs


def _is_integer(region: Region) -> bool:
    return isinstance(region.mode, Integer)
