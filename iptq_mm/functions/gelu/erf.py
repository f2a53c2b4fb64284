"""Steps shared by the two polynomial GELUs, ``x/2 * (1 + L(x))``, where L(x) is odd.

Both approximate erf by ``L(x) = sgn(x) * (1 - P(u))`` with ``u = min(|x|, b) - b``: a
polynomial up to its vertex ``b``, and 1 from there on. Here ``|q|`` is first shifted
(left or right) to a scale at which the vertex has 15 bits. That is enough for 8-bit
inputs, and ``u*u`` fits 32 bits for 16-bit ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...intmath import requantize
from ..base import Constants, FunctionSite
from ..fixed_point import dyadic_of, floor_log2, ints, prepare_dyadic, shift_

SQRT2 = 1.4142135623730951
_VERTEX_BITS = 15
# A longer left shift would take 1 past any vertex, and overflow 32 bits.
_MOST_LEFT = 15


def prepare_vertex(site: FunctionSite, vertex: float) -> Constants:
    """Constants of :func:`from_vertex`.

    Args:
        site: The site.
        vertex: Real ``|x|`` from which on GELU is approximated by ``x`` or 0.
    """
    largest = (1 << _VERTEX_BITS) - 1
    shift = min(_MOST_LEFT, floor_log2(largest / (vertex / site.x.scale)))
    steps = max(1, round(vertex / site.x.scale * 2.0**shift))
    # Clamp before a left shift, so that it fits; one past the vertex is enough.
    clamp = (steps >> shift) + 1 if shift > 0 else site.x.bound
    return {'vertex': steps, 'vertex_shift': shift, 'vertex_clamp': clamp}


def from_vertex(magnitude: Tensor, constants: Constants) -> Tensor:
    """``u = min(|x|, b) - b`` at the vertex's scale.

    Returns:
        A new int32 tensor, ``-vertex .. 0``.
    """
    vertex, shift, clamp = ints(constants, 'vertex', 'vertex_shift', 'vertex_clamp')
    u = shift_(magnitude.clamp_max(clamp), shift)
    u -= vertex
    return u.clamp_max_(0)


def prepare_output(site: FunctionSite, one: int) -> Constants:
    """Constants of :func:`output`: the integer for 1, in as many bits as fit.

    Args:
        site: The site.
        one: The integer that stands for 1 in the polynomial, below ``2**31``.

    Raises:
        OverflowError: If the output scale is far too small for the input.
    """
    spare = max(0, one.bit_length() - (30 - site.x.bound.bit_length()))
    one = max(1, one >> spare)
    factor = prepare_dyadic('out', site.x.scale / (2 * one) / site.out.scale)
    return {'erf_shift': spare, 'erf_one': one, **factor}


def output(q: Tensor, magnitude: Tensor, erf: Tensor, constants: Constants) -> Tensor:
    """``x/2 * (1 + sgn(x) * erf)`` at the output's scale, int64.

    It is computed as ``q*one + |q|*erf``, which equals ``q * (one + sgn(q)*erf)``.

    Args:
        q: The input, int32.
        magnitude: ``|q|``, int32; overwritten.
        erf: ``L(|x|)`` where ``erf_one << erf_shift`` stands for 1; overwritten.
        constants: From :func:`prepare_output`.
    """
    one, spare = ints(constants, 'erf_one', 'erf_shift')
    erf >>= spare
    magnitude *= erf
    magnitude += q * one
    return requantize(magnitude, dyadic_of(constants, 'out'))


def magnitude_of(q: Tensor) -> tuple[Tensor, Tensor]:
    """``q`` and ``|q|`` as int32 (no 8-bit number holds ``-(-128)``)."""
    q = q.to(torch.int32)
    return q, q.abs()
