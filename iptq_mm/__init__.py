"""Integer-only post-training quantization of OpenMMLab vision transformers."""

from .utils import repair_torchvision
from .version import __version__

# Before anything imports mmpretrain or mmdet.
repair_torchvision()

__all__ = ['__version__']
