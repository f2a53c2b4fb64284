"""The plans of parameters: roles, bits, scales and groups."""

from __future__ import annotations

from torch import Tensor, nn

from ...intmath import QParams
from ...intmath.weight_codes import most_factor
from ...kept_float import quantized_parameters
from ...operations import ACTIVATION, BIAS, EMBEDDING, NORM, TABLE, TRANSPOSED, WEIGHTS
from ...patches import transposed_rows
from ...plan import ParameterPlan
from ...record import RegionRecord
from ...registry import OBSERVERS
from ..config import QuantizationConfig
from ..site_overrides import SiteOverrides

#: Bits of parameters that enter no product.
PARAMETER_BITS = {BIAS: 24, NORM: 24, TABLE: 16, ACTIVATION: 16, EMBEDDING: 16}


def plan_parameters(
    module: nn.Module, record: RegionRecord, config: QuantizationConfig
) -> dict[str, ParameterPlan]:
    """The plan of each parameter of a region: role, bits and scales.

    Raises:
        ValueError: If a parameter holds NaN or is used in two ways that exclude
            each other.
    """
    observer = OBSERVERS.build(dict(config.weight.observer))
    overrides = SiteOverrides(config.overrides, record)
    plans = {}
    for name, parameter in quantized_parameters(module):
        value = parameter.detach()
        roles = record.parameters.get(name) or {TABLE}
        shape = tuple(value.shape)
        if roles & set(WEIGHTS):
            role = next(r for r in WEIGHTS if r in roles)
            # The table of an embedding may be the weight of a layer (tied weights).
            if len(roles - {EMBEDDING}) > 1:
                raise ValueError(
                    f"parameter '{name}' is a {role} and also used as "
                    f'{sorted(roles - {role})}: that has no integer form yet'
                )
            rows = transposed_rows(value) if role == TRANSPOSED else value
            bits = overrides.weight_bits(name) or config.weight.bits
            scale: Tensor = observer.scales(rows, bits)
            group = overrides.weight_group(name)
            group = config.weight.group if group is None else group
            alike = role == TRANSPOSED or rows[0].numel() <= group
            if alike or most_factor(bits) < 2:
                group = 0
            plans[name] = ParameterPlan(role, bits, shape, scale.tolist(), group)
            continue
        role = max(roles, key=lambda r: PARAMETER_BITS[r])
        plans[name] = one_scale(value, role)
    return plans


def one_scale(value: Tensor, role: str) -> ParameterPlan:
    """The plan of a parameter that is not a weight: one scale that clips nothing."""
    bits = PARAMETER_BITS[role]
    amax = float(value.abs().max()) if value.numel() else 0.0
    scale = QParams.symmetric(amax, bits).scale
    return ParameterPlan(role, bits, tuple(value.shape), scale)
