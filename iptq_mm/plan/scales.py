"""Scales in a plan: float32, written in the fewest digits that determine them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..intmath import QParams
from ..intmath.qparams import as_float32


def with_short_scale(data: dict[str, Any]) -> dict[str, Any]:
    """``data`` with its scale (one or a list) in the fewest digits, in place."""
    scale = data['scale']
    if isinstance(scale, list):
        data['scale'] = [float(str(np.float32(s))) for s in scale]
    else:
        data['scale'] = float(str(np.float32(scale)))
    return data


def read_qparams(data: Mapping[str, Any]) -> QParams:
    """The quantizer of a plan, with the float32 scale that was written."""
    return QParams.from_dict({**data, 'scale': as_float32(data['scale'])})
