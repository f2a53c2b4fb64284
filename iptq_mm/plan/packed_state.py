"""Weights of few bits in the state dict of a file: packed, under names of their own.

In a file, ``backbone.fc.weight.packed`` stands for ``backbone.fc.weight``
(:mod:`iptq_mm.plan.packing`). The region unpacks them when it loads the state dict, so
that whatever loads the file needs not know of it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from .packing import PACKING_VERSION, is_packed, pack_parameter, unpack_parameter
from .region import PlanError, RegionPlan

#: Name of the buffer with the plan, which brings it into the state dict.
PLAN_KEY = 'quantization_plan'
#: Ends the name of a packed parameter.
SUFFIX = '.packed'
#: Name of the version of the packing, beside the plan.
VERSION_KEY = 'packing_version'


def pack_state(state: MutableMapping[str, Any], prefix: str, plan: RegionPlan) -> None:
    """Pack the weights of a region in a state dict, in place.

    One without weights of few bits stays as it is, which earlier versions read.

    Args:
        state: A state dict.
        prefix: What the names of the region's tensors begin with.
        plan: The region's plan.
    """
    for name, parameter in plan.parameters.items():
        value = state.get(prefix + name)
        if not isinstance(value, Tensor) or not is_packed(parameter):
            continue
        packed = pack_parameter(parameter, value)
        if packed is not None:
            del state[prefix + name]
            state[prefix + name + SUFFIX] = packed
            version = torch.tensor([PACKING_VERSION], dtype=torch.uint8)
            state[prefix + VERSION_KEY] = version


def unpack_state(
    state: MutableMapping[str, Any], prefix: str, plan: RegionPlan
) -> None:
    """Inverse of :func:`pack_state`; a state dict without packed weights stays.

    Raises:
        PlanError: If the packing is of another version, or damaged.
    """
    version = state.pop(prefix + VERSION_KEY, None)
    if version is not None and version.tolist() != [PACKING_VERSION]:
        raise PlanError(
            f"the weights of region '{prefix.rstrip('.')}' are packed as version "
            f'{version.tolist()}, this iptq_mm reads {PACKING_VERSION}: install a '
            'newer one'
        )
    for name, parameter in plan.parameters.items():
        packed = state.pop(prefix + name + SUFFIX, None)
        if packed is None:
            continue
        try:
            state[prefix + name] = unpack_parameter(parameter, packed)
        except ValueError as error:
            raise PlanError(
                f"the packed integers of '{prefix}{name}' are damaged ({error}): "
                'quantize the model again'
            ) from error


def unpacked(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict of a file as the model has it, every weight in bytes.

    Args:
        state: What ``integer.pth`` has under ``state_dict``, packed or not.

    Raises:
        PlanError: See :func:`unpack_state`.
    """
    found = dict(state)
    for key in [key for key in state if key.endswith(f'.{PLAN_KEY}')]:
        plan = RegionPlan.from_tensor(state[key])
        unpack_state(found, key.removesuffix(PLAN_KEY), plan)
    return found
