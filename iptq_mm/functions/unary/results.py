"""The float results of an elementwise function at the integers of its input."""

from __future__ import annotations

import torch
from torch import Tensor

from ..base import FunctionSite, UnaryFunction

#: Largest magnitude of a result, in steps of the output. Larger ones saturate anyway.
_MOST = 2.0**20


def results(
    function: UnaryFunction, site: FunctionSite, first: int, count: int
) -> Tensor:
    """Results at consecutive integers, in steps of the output, not rounded.

    Args:
        function: What is approximated.
        site: The site.
        first: The first integer.
        count: How many there are. Those beyond the range of the input repeat the
            result at its end.

    Returns:
        float64, shape (count,).

    Raises:
        ValueError: If the function is undefined at one of them.
    """
    q = torch.arange(first, first + count).clamp_(site.x.qmin, site.x.qmax)
    real = function.reference(q.double() * site.x.scale, **site.attributes)
    if bool(real.isnan().any()):
        raise ValueError(
            f'{site.attributes.get("name")} is undefined at some of the inputs from '
            f'{site.x.qmin * site.x.scale:.4g} to {site.x.qmax * site.x.scale:.4g}'
        )
    return (real / site.out.scale).clamp_(-_MOST, _MOST)
