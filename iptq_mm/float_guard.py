"""Integers are not loaded into float models by mmengine.

Without strictness, mmengine copies whatever has a known name and shape, integers for
floats too, and logs the names that it does not know: the model runs and says nonsense.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any

_CHECKPOINT = 'mmengine.runner.checkpoint'
_PLAN = '.quantization_plan'


def guard_float_models() -> None:
    """Let mmengine refuse integers for float models, if its runner is imported.

    mm's own tools have imported it before they read a config, and with it this
    package. Calling it again is harmless.
    """
    module = sys.modules.get(_CHECKPOINT)
    load = getattr(module, 'load_state_dict', None)
    if load is None or hasattr(load, 'guarded'):
        return

    @functools.wraps(load)
    def load_state_dict(
        model: Any, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        check_integers(model, state_dict)
        return load(model, state_dict, *args, **kwargs)

    load_state_dict.guarded = True  # type: ignore[attr-defined]
    module.load_state_dict = load_state_dict  # type: ignore[union-attr]


def check_integers(model: Any, state_dict: Mapping[str, Any]) -> None:
    """Make sure that integers go where integers are expected.

    Args:
        model: The model that loads.
        state_dict: What it loads.

    Raises:
        PlanError: If a region of the state dict is a float module of the model.
    """
    names = [k.removesuffix(_PLAN) for k in state_dict if str(k).endswith(_PLAN)]
    for name in names:
        for outer in (model, getattr(model, 'module', model)):
            try:
                module = outer.get_submodule(name.removeprefix('module.'))
            except AttributeError:
                continue
            if not hasattr(module, 'iptq_region'):
                from .plan import PlanError  # takes long to import

                raise PlanError(
                    f"the checkpoint holds integers for '{name}', which is a float "
                    'module in this config: load it with the integer.py that '
                    'tools/quantize.py wrote beside it'
                )
