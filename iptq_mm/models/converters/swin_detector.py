"""Detectors of SwinTransformer/Swin-Transformer-Object-Detection, for mmdet 3."""

import re
from collections import OrderedDict

from .checkpoint import ConversionError, State, refuse, require

_WHAT = 'a detector of Swin-Transformer-Object-Detection (mmdet 2)'

_BACKBONE = re.compile(
    r'patch_embed\.(proj|norm)\.(weight|bias)'
    r'|norm[0-3]\.(weight|bias)'
    r'|layers\.\d+\.downsample\.(reduction\.weight|norm\.(weight|bias))'
    r'|layers\.\d+\.blocks\.\d+\.'
    r'(norm[12]\.(weight|bias)'
    r'|attn\.(qkv|proj)\.(weight|bias)'
    r'|attn\.relative_position_(bias_table|index)'
    r'|mlp\.fc[12]\.(weight|bias))'
)

#: What necks and heads are called in both versions of mmdet.
_OTHERS = ('neck.', 'rpn_head.', 'roi_head.')


def convert_swin_detector(state: State) -> State:
    """Bring the backbone of a detector into the form of mmdet 3.

    Besides the names, the order of channels differs in patch merging: Swin's
    own code puts four strided slices one after the other, mmdet unfolds windows
    of 2x2 channel by channel. The columns of ``reduction`` and the parameters
    of the norm before it move accordingly.

    Args:
        state (dict[str, torch.Tensor]): The parameters of a detector with a
            Swin backbone, of any kind whose neck and heads exist in mmdet 3:
            Cascade Mask R-CNN, Mask R-CNN.

    Returns:
        dict[str, torch.Tensor]: The parameters for mmdet 3.

    Raises:
        ConversionError: If it is another model, or already converted.
    """
    if any(key.startswith('backbone.stages.') for key in state):
        raise ConversionError(
            'The checkpoint already has the names of mmdet 3: use it as it is.'
        )
    if 'layers.0.blocks.0.attn.qkv.weight' in state:
        raise ConversionError(
            'This is a Swin classifier, not a detector. mmpretrain distributes '
            'those under its own names (swin-tiny_3rdparty_in1k and others).'
        )
    require(
        state,
        ('backbone.patch_embed.proj.weight', 'backbone.layers.0.downsample.norm.weight')
        + ('backbone.layers.0.blocks.0.attn.qkv.weight',),
        _WHAT,
    )
    backbone: State = OrderedDict()
    others: State = {}
    unknown = []
    for key, value in state.items():
        name = key.removeprefix('backbone.')
        if name != key and _BACKBONE.fullmatch(name):
            backbone[name] = value
        elif key.startswith(_OTHERS):
            others[key] = value
        else:
            unknown.append(key)
    refuse(unknown, _WHAT)

    # It takes names without the prefix and returns them with it.
    from mmdet.models.backbones.swin import swin_converter

    return {**swin_converter(backbone), **others}
