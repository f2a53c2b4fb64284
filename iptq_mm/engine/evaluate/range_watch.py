"""What an evaluation clips, by quantizer, and whether it leaves its calibration."""

from __future__ import annotations

import logging
from typing import Any

from mmengine import dist
from mmengine.logging import print_log
from torch import nn

from ...modes import Integer, regions_in
from ...out_of_range import OutOfRangeLog, departures
from ...program import out_of_range

#: Quantizers that left their calibration and are named in the results.
_MOST = 20


class RangeWatch:
    """Counts what the regions of a model clip from now on.

    Args:
        model: A quantized model.
        every: One image of so many is counted where back ends run the regions; see
            :class:`~iptq_mm.program.out_of_range`.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        self._regions = regions_in(model)
        self._watching = out_of_range(model, every, warn=False)

    def finish(self) -> dict[str, Any]:
        """End it, and warn if values left their calibration.

        Returns:
            Fields of the results, over all ranks: ``out_of_range``, the log of each
            region without the quantizers that clipped nothing; ``out_of_calibration``,
            a clause for each quantizer that left its calibration; ``saturation``, the
            share of clipped values of sites and requantized operands;
            ``saturated_values``, how many of how many values these are.
        """
        logs: dict[str, OutOfRangeLog] = {}
        # Ranks may have seen other sites: a head that no image called.
        for rank in dist.all_gather_object(self._watching.finish()):
            for name, log in rank.items():
                logs.setdefault(name, OutOfRangeLog()).merge(log)
        sites = {
            f'{region}:{name}': seen
            for region, log in logs.items()
            for name, seen in log.sites.items()
            if not name.endswith(' (fit)') and not name.startswith('input:')
        }
        return {
            'out_of_range': {name: _clipping(log) for name, log in logs.items()},
            'out_of_calibration': self._departures(logs),
            'saturation': {k: s.share for k, s in sites.items() if s.outside},
            'saturated_values': [
                sum(seen.outside for seen in sites.values()),
                sum(seen.total for seen in sites.values()),
            ],
        }

    def _departures(self, logs: dict[str, OutOfRangeLog]) -> list[str]:
        found = []
        for name, log in logs.items():
            mode = self._regions[name].mode
            assert isinstance(mode, Integer)
            found += [f'{name}: {d}' for d in departures(log, mode.plan.calibrated)]
        if found:
            print_log(
                f'the evaluation leaves its calibration at {len(found)} quantizers: '
                f'{"; ".join(found[:3])}. Calibrate with images like those of the '
                'evaluation, or with more of them',
                'current',
                level=logging.WARNING,
            )
        return found[:_MOST]


def _clipping(log: OutOfRangeLog) -> dict[str, Any]:
    """A log as plain data, without what clipped nothing."""
    sites = {name: seen for name, seen in log.sites.items() if seen.outside}
    data = OutOfRangeLog(sites, log.rows, log.counted).to_dict()
    return {'quantizers': len(log.sites), **data}
