"""Registries of iptq_mm.

Child registries take part in OpenMMLab's scopes, so that a config may say
``type='iptq_mm.QuantizationHook'``. The others hold what only this project
has: integer functions, observers, codes, equalizers, criteria, weight roundings, losses
of training and back ends of the integer program. Adding one is one file with one
``@REGISTRY.register_module()`` line.
"""

from typing import Any

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import Registry

HOOKS = Registry(
    'hook', parent=MMENGINE_HOOKS, scope='iptq_mm', locations=['iptq_mm.engine']
)
LOOPS = Registry(
    'loop',
    parent=MMENGINE_LOOPS,
    scope='iptq_mm',
    locations=['iptq_mm.engine', 'iptq_mm.engine.train.loops'],
)
MODEL_WRAPPERS = Registry(
    'model wrapper',
    parent=MMENGINE_MODEL_WRAPPERS,
    scope='iptq_mm',
    locations=['iptq_mm.engine.run.processes', 'iptq_mm.engine.train.trainee'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='iptq_mm',
    locations=['iptq_mm.engine.train.learning_rates'],
)
MODELS = Registry(
    'model', parent=MMENGINE_MODELS, scope='iptq_mm', locations=['iptq_mm.models']
)


class OwnRegistry(Registry):
    """A registry that only this project has.

    mmengine looks for a config's type in the registry of the default scope
    first (``mmdet``) and warns where there is none: here there never is.
    """

    def build(self, cfg: dict, *args: Any, **kwargs: Any) -> Any:
        """Build an instance from ``dict(type=..., **arguments)``."""
        self.import_from_location()
        arguments = dict(cfg)
        return self.module_dict[arguments.pop('type')](**arguments)


# The word FUNCTIONS is a root registry of mmengine (collate functions), hence
# the name of the registry itself.
FUNCTIONS = OwnRegistry(
    'integer function', scope='iptq_mm', locations=['iptq_mm.functions']
)
OBSERVERS = OwnRegistry('observer', scope='iptq_mm', locations=['iptq_mm.calibration'])
CODES = OwnRegistry('code', scope='iptq_mm', locations=['iptq_mm.calibration'])
CRITERIA = OwnRegistry('criterion', scope='iptq_mm', locations=['iptq_mm.criteria'])
EQUALIZERS = OwnRegistry(
    'equalizer', scope='iptq_mm', locations=['iptq_mm.calibration']
)
ROUNDINGS = OwnRegistry('rounding', scope='iptq_mm', locations=['iptq_mm.rounding'])
TRAINING_LOSSES = OwnRegistry(
    'training loss', scope='iptq_mm', locations=['iptq_mm.engine.train.losses']
)
BACKENDS = OwnRegistry('back end', scope='iptq_mm', locations=['iptq_mm.program'])
