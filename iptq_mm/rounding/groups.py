"""Groups of input channels: a small whole factor for each, besides the scale of a row.

With codes of few bits and one scale for a row, small weights share the steps of the
largest one. Here ``w = scale * factor * code``: each group of ``group`` inputs has a
factor of 1 to 16, four bits. The products ``factor * code`` fit into 8 bits and are
the integers of the layer, which is computed as any other. With groups of 16 inputs, a
weight of 4 bits takes 4.25.

Source: scales by block, in floats: VS-Quant, Dai et al., arXiv 2102.04503.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..intmath.weight_codes import most_code, most_factor

#: Largest magnitudes that a group is clipped at, as shares of its own.
_CLIPPED = torch.linspace(1.05, 0.55, 11, dtype=torch.float64).tolist()


def choose_factors(
    weight: Tensor, importance: Tensor, bits: int, group: int
) -> tuple[Tensor, Tensor]:
    """Scale and factors by which the rounded weight errs least.

    Args:
        weight: Real weight, float64, shape (rows, K).
        importance: How much a squared error counts, by input, shape (K,).
        bits: Bits of a code.
        group: Inputs of a group; the last one may have fewer.

    Returns:
        The scale of each row, shape (rows,), as plans keep it, and the factor of each
        weight, float64, shape (rows, K).
    """
    rows, count = weight.shape
    grouped, counts = _grouped(weight, group), _grouped(importance[None], group)
    largest, most = grouped.abs().amax(2, keepdim=True), most_code(bits)
    best = error = None
    for share in _CLIPPED:
        step = (largest * share / most).clamp_min(torch.finfo(torch.float64).tiny)
        codes = (grouped / step).round().clamp_(-most, most)
        lost = ((codes * step - grouped).square() * counts).sum(2, keepdim=True)
        if best is None or error is None:
            best, error = step, lost
        else:
            best = torch.where(lost < error, step, best)
            error = torch.minimum(lost, error)
    assert best is not None
    scale = best.amax((1, 2)) / most_factor(bits)
    scale = scale.clamp_min(torch.finfo(torch.float32).tiny).float().double()
    factors = (best / scale[:, None, None]).round().clamp(1, most_factor(bits))
    return scale, factors.expand(-1, -1, group).reshape(rows, -1)[:, :count]


def factors_of(integers: Tensor, group: int) -> Tensor:
    """The factors of a weight in integers, float64, the shape of it.

    They are the greatest common divisors. A group whose codes have a common divisor
    themselves is taken for one of smaller codes and a larger factor.

    Args:
        integers: Products of factors and codes; dimension 0 is the output channel.
        group: Inputs of a group.
    """
    grouped = _grouped(integers.flatten(1).long(), group)
    found = grouped[..., 0].abs()
    for i in range(1, group):
        found = torch.gcd(found, grouped[..., i].abs())
    factors = found.clamp_min(1).double().repeat_interleave(group, 1)
    return factors[:, : integers[0].numel()].reshape(integers.shape)


def _grouped(rows: Tensor, group: int) -> Tensor:
    """Shape (rows, groups, group), with zeros at the end."""
    rest = -rows.shape[1] % group
    return torch.nn.functional.pad(rows, (0, rest)).unflatten(1, (-1, group))
