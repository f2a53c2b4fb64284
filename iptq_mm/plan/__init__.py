"""The plan: all decisions of quantization, in plain types.

It is written as JSON beside the checkpoint and is also stored in the checkpoint.
Together with the integer parameters, it determines every bit of the quantized model.
"""

from .files import load_plan, save_plan
from .parameter import ParameterPlan
from .region import PLAN_VERSION, PlanError, RegionPlan
from .site import SitePlan

__all__ = [
    'PLAN_VERSION',
    'ParameterPlan',
    'PlanError',
    'RegionPlan',
    'SitePlan',
    'load_plan',
    'save_plan',
]
