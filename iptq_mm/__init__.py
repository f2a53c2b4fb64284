"""Integer-only post-training quantization of OpenMMLab vision transformers."""

from .float_guard import guard_float_models
from .utils import register_config_scope, repair_torchvision
from .version import __version__

# Before anything imports mmpretrain or mmdet.
repair_torchvision()
guard_float_models()
register_config_scope()

__all__ = ['__version__']
