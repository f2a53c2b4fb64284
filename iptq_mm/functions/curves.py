"""The elementwise float functions that tables approximate, by name.

To add one is one line of :data:`CURVES` and a rule: constants of a site are tables, and
everything else works with these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def _power(x: Tensor, exponent: float) -> Tensor:
    # Of other exponents, numbers below 0 have no power. A symmetric range has them.
    return (x if float(exponent).is_integer() else x.clamp_min(0)).pow(exponent)


#: Name -> the function, with its parameters by name.
CURVES: dict[str, Callable[..., Tensor]] = {
    'celu': F.celu,
    'clamp': torch.clamp,
    'elu': F.elu,
    'erf': torch.erf,
    'exp': torch.exp,
    'hardsigmoid': F.hardsigmoid,
    'hardswish': F.hardswish,
    'hardtanh': F.hardtanh,
    'leaky_relu': F.leaky_relu,
    'log': lambda x, smallest=1e-12: x.clamp_min(smallest).log(),
    'logsigmoid': F.logsigmoid,
    'mish': F.mish,
    'pow': lambda x, exponent: _power(x, exponent),
    'reciprocal': lambda x, offset=0.0: 1 / (x + offset),
    'relu6': F.relu6,
    'rsqrt': lambda x, offset=0.0: (x.clamp_min(0) + offset).rsqrt(),
    'selu': F.selu,
    'sigmoid': torch.sigmoid,
    'silu': F.silu,
    'softplus': F.softplus,
    'softsign': F.softsign,
    'sqrt': lambda x, offset=0.0: (x.clamp_min(0) + offset).sqrt(),
    'tanh': torch.tanh,
}

#: Those of which the relative error counts: an input of 8 bits, most of it near 0, has
#: too few levels where they are steep.
STEEP = frozenset({'exp', 'log', 'pow', 'reciprocal', 'rsqrt', 'sqrt'})


def curve(x: Tensor, name: str = 'silu', **parameters: Any) -> Tensor:
    """The value of an elementwise function.

    Args:
        x: Any shape.
        name: One of :data:`CURVES`.
        **parameters: Those of the function.
    """
    return CURVES[name](x, **parameters)
