"""Sites with random integers and scales, and how far from floats they may be."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from iptq_mm.intmath import QParams
from iptq_mm.operations import OPERATIONS, SiteInputs
from iptq_mm.qtensor import WeightQParams

seeds = st.integers(0, 2**31)
scales = st.integers(-20, 8).map(lambda e: 2.0**e * 1.37)
RANGES = {
    'int8': (-127, 127),
    'int8 full': (-128, 127),
    'affine': (-30, 225),
    'positive': (0, 255),
    'negative': (-255, 0),
    '6 bits': (-10, 53),
    '4 bits': (-7, 7),
    'int16': (-32767, 32767),
    'probabilities': (0, 65535),
}
kinds = st.sampled_from(list(RANGES))


def quantizer(kind: str, scale: float) -> QParams:
    return QParams(scale, *RANGES[kind])


def integers(q: QParams, *shape: int, seed: int = 0) -> Tensor:
    """Random codes, the limits among them, in the type that stores them."""
    from iptq_mm.intmath import storage_dtype

    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(q.qmin, q.qmax + 1, shape, generator=generator)
    flat = values.flatten()
    if seed % 3 == 0 and flat.numel():
        flat[::2], flat[1::3] = q.qmin, q.qmax
    return flat.view(shape).to(storage_dtype(q.qmin, q.qmax))


def real(q: Tensor, qparams: Any) -> Tensor:
    """Exact real values in float64."""
    if isinstance(qparams, WeightQParams):
        return q.double() * qparams.scale.view(-1, *[1] * (q.dim() - 1))
    return q.double() * qparams.scale


def out_for(reference: Tensor, slack: float = 1.0, bits: int = 16) -> QParams:
    """A quantizer whose range is ``slack`` times that of the reference."""
    return QParams.symmetric(float(reference.abs().max()) * slack + 1e-6, bits)


def run(
    kind: str,
    payloads: list[Tensor | None],
    qparams: list[Any],
    out: QParams,
    attributes: dict[str, Any] | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """Integers, not saturated, and the constants they were made with."""
    operation = OPERATIONS[kind]
    attributes = attributes or {}
    terms = operation.terms(payloads, attributes)
    site = SiteInputs(payloads, qparams, out, attributes, terms)
    constants = operation.prepare(site)
    for value in constants.values():
        assert isinstance(value, int) or not value.is_floating_point()
    result = operation.integer(payloads, constants, attributes)
    assert not result.is_floating_point()
    return result, constants


def check(
    result: Tensor, expected: Tensor, out: QParams, dyadic_error: float | Tensor
) -> None:
    """One rounding, half a step; and what the multipliers are off."""
    error = (result.double() - expected.double() / out.scale).abs()
    allowed = 0.5 + dyadic_error + 1e-9 * (expected.double() / out.scale).abs()
    assert (error <= allowed).all(), (float(error.max()), dyadic_error)


def half_unit(largest: float, shift: int) -> float:
    """How far half a unit of a multiplier moves the product."""
    return math.ldexp(largest, -shift - 1)
