"""Bias correction: biases make up for the mean error of their layer's outputs.

A layer computes ``W_q E[x_q]`` in the mean where the float model has ``W E[x]``. The
difference is added to its bias (Nagel et al., arXiv 1906.04721, section 4.2): rounding
errors of weights and of inputs alike. What is clipped is no part of it, ``x`` has the
range of ``x_q``: a massive value that few rows have would move all others. Neither is
that of a channel which is clipped in every row.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...operations import TRANSPOSED
from ...record import RegionRecord
from ...rounding.base import Rounded
from .measure_mode import SeenInputs


def correctable_biases(
    record: RegionRecord, values: Mapping[str, Tensor]
) -> dict[str, str]:
    """The bias that belongs to each weight and to no other, by name of the weight.

    A bias that the model puts together from parameters has the name of the first
    of them, and as a rule not its shape.

    Args:
        record: Which parameters meet at a site.
        values: All parameters of the region, by name.
    """
    partners: dict[str, set[str]] = {}
    for site, kind in record.operations.items():
        if kind in ('linear', 'conv2d'):
            _, weight, bias = (*record.sources[site], None)[:3]
            names = [str(n).removeprefix('parameter:') for n in (weight, bias)]
            if all(n in values for n in names):
                partners.setdefault(names[0], set()).add(names[1])
    every = [bias for found in partners.values() for bias in found]
    return {
        weight: bias
        for weight, found in partners.items()
        for bias in found
        if len(found) == 1
        and every.count(bias) == 1
        and values[bias].shape == (_outputs(values[weight], record, weight),)
    }


def mean_loss(
    weight: Tensor, rounded: Rounded, seen: SeenInputs, outputs: int
) -> Tensor:
    """The error of the mean of each output, ``W E[x] - W_q E[x_q]``.

    Args:
        weight: The real weight; dimension 0 is the output channel.
        rounded: The weight in integers.
        seen: Its inputs, real and quantized.
        outputs: Length of the bias. Places of a transposed convolution's kernel are
            rows of the weight that share a bias: their losses are averaged.

    Returns:
        Float64 on the CPU, shape (outputs,).
    """
    codes, scale = rounded
    integer = codes.flatten(1).double().cpu() * scale.cpu()[:, None]
    lost = weight.flatten(1).double().cpu() @ seen.mean
    lost -= integer @ seen.moments.mean
    return _by_output(lost, outputs)


def weight_loss(error: Tensor, seen: SeenInputs, outputs: int) -> Tensor:
    """The part of :func:`mean_loss` that the error of a weight makes, ``-e E[x_q]``.

    Args:
        error: What rounding added; dimension 0 is the output channel.
        seen: The inputs of the weight.
        outputs: See :func:`mean_loss`.
    """
    lost = error.flatten(1).double().cpu() @ seen.moments.mean
    return -_by_output(lost, outputs)


def _by_output(lost: Tensor, outputs: int) -> Tensor:
    """The mean of the rows that share a bias."""
    return lost.view(outputs, -1).mean(1)


def _outputs(weight: Tensor, record: RegionRecord, name: str) -> int:
    """Output channels of a weight."""
    transposed = TRANSPOSED in record.parameters.get(name, ())
    return weight.shape[1 if transposed else 0]
