"""Quantized regions in mm configs: built empty, filled by their checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..calibration import expanded
from ..modes import Region, bind, bound_region, unbind
from ..modes.install import PLAN_KEY, fit_first_layer, install
from ..modes.real_parameters import loads_itself
from ..norms import without_norms
from ..plan import PlanError, RegionPlan
from ..plan.packed_state import unpack_state
from ..program import Session
from ..registry import MODELS

#: Name of an empty tensor beside the plan, in files. A float model does not know it,
#: so that mm's tools print it when they are given integers for floats.
NOTICE = 'integers, load them with the integer.py beside this file'


@MODELS.register_module()
def build_quantized(
    float_type: str,
    backend: str | None = None,
    memory_mb: float | None = None,
    parts: Sequence[str] = (),
    **kwargs: Any,
) -> nn.Module:
    """Build a standard module that takes its integers from a checkpoint.

    In a config it stands where the float module stood, so that mm's own tools
    find everything in its place::

        backbone=dict(
            type='iptq_mm.build_quantized', float_type='mmdet.SwinTransformer', ...)

    Until a checkpoint that holds a plan is loaded, the module refuses to run.

    Args:
        float_type: Registered type of the float module, with its scope.
        backend: What runs it, a name in ``BACKENDS``; None: the eager integer mode.
            The integers are the same.
        memory_mb: Megabytes that its programs may keep, see
            :class:`~iptq_mm.program.Session`; None: as that has it.
        parts: Paths of the regions within the module, where it is none itself.
        **kwargs: Its arguments.

    Returns:
        The float module's class, bound to the integer mode on loading.

    Raises:
        KeyError: If there is no such back end.
        ValueError: If ``memory_mb`` is no positive number, or there is no back end.
    """
    if memory_mb is not None and not backend:
        raise ValueError(
            'memory_mb is the memory of programs, and only a back end has these: name '
            "one with backend='native', or leave memory_mb out"
        )
    if 'init_cfg' in kwargs:
        # Weights come from the integer checkpoint: none are to be fetched.
        kwargs['init_cfg'] = None
    module = MODELS.build(dict(type=float_type, **kwargs))
    limit = {} if memory_mb is None else {'memory_mb': memory_mb}
    for name in expanded(module, list(parts)) if parts else ['']:
        # A session for each: it belongs to one region.
        session = Session(backend, **limit) if backend else None
        await_plan(module.get_submodule(name), session)
    return module


def await_plan(module: nn.Module, session: Session | None = None) -> None:
    """Make a float module wait for the plan of the checkpoint it will load.

    Args:
        module: The float module.
        session: What runs it then; None: the eager integer mode.
    """
    region = Region('(not loaded)')
    region.session = session
    bind(module, region)
    module._register_load_state_dict_pre_hook(_take_plan, with_module=True)
    # The module's own hooks may resize what they take for float tensors.
    hooks: Any = module._load_state_dict_pre_hooks
    hooks.move_to_end(next(reversed(hooks)), last=False)


def _take_plan(
    module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *args: Any
) -> None:
    """Load the plan before the integers; a missing or foreign one is an error."""
    if loads_itself():
        return
    name = prefix.rstrip('.')
    state_dict.pop(prefix + NOTICE, None)
    if prefix + PLAN_KEY not in state_dict:
        raise PlanError(
            f"the checkpoint holds no plan for region '{name}', it is a float "
            'checkpoint: quantize it with tools/quantize.py and load what that wrote'
        )
    plan = RegionPlan.from_tensor(state_dict[prefix + PLAN_KEY])
    try:
        without_norms(module, plan.norms)
    except AttributeError as error:
        raise PlanError(
            f"the plan for region '{name}' was made for another model: {error}; "
            'quantize this model with tools/quantize.py'
        ) from None
    fit_first_layer(module, plan)
    plan.check(name, module)
    unpack_state(state_dict, prefix, plan)
    for key in plan.parameters:
        value = state_dict.get(prefix + key)
        if value is None or value.is_floating_point():
            raise PlanError(
                f"the checkpoint holds no integers for '{prefix}{key}': it was changed "
                'after tools/quantize.py wrote it'
            )
    before = bound_region(module)
    if before is not None:
        unbind(module)
    if PLAN_KEY in module._buffers:
        del module._buffers[PLAN_KEY]
    install(name, module, plan)
    # As it was written: a later version may write the same plan in other words.
    module.register_buffer(PLAN_KEY, state_dict[prefix + PLAN_KEY].clone())
    if before is not None:
        module.iptq_region.session = before.session  # type: ignore[union-attr]
