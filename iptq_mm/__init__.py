"""Integer-only post-training quantization of OpenMMLab vision transformers."""

from .float_guard import guard_float_models
from .utils import repair_torchvision
from .version import __version__

# Before anything imports mmpretrain or mmdet.
repair_torchvision()
guard_float_models()

__all__ = ['__version__']
