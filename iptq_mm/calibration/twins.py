"""Float copies of regions that stay when the regions become integers."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable

from mmengine.logging import print_log
from torch import nn

from ..modes import Region, bind


def float_twins(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """Copies of regions that share their parameters, which nobody writes to.

    Args:
        model: The float model.
        names: The regions.

    Returns:
        Bound modules without a mode, by region. A region that cannot be copied is not
        among them; a warning says so.
    """
    twins = {}
    for name in names:
        try:
            twins[name] = _twin(model.get_submodule(name))
        except Exception as error:  # what modules keep may have no copy
            print_log(
                f"region '{name}' cannot be compared with floats ({error})",
                'current',
                logging.WARNING,
            )
    return twins


def _twin(module: nn.Module) -> nn.Module:
    memo = {id(p): p for p in module.parameters()}
    twin = copy.deepcopy(module, memo | {id(b): b.clone() for b in module.buffers()})
    bind(twin, Region('(float)', None))
    return twin
