"""Public checkpoints under the names that mmpretrain and mmdet use."""

from .checkpoint import ConversionError, convert_file, load_state, save_state
from .swin_detector import convert_swin_detector
from .vit import convert_vit

#: By the name of the tool that converts one file.
CONVERTERS = {
    'swin_detector_to_mmdet': convert_swin_detector,
    'vit_to_mmpretrain': convert_vit,
}

__all__ = [
    'CONVERTERS',
    'ConversionError',
    'convert_file',
    'convert_swin_detector',
    'convert_vit',
    'load_state',
    'save_state',
]
