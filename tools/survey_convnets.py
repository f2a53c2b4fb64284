"""The convolutional backbones of mmpretrain for ``tools/survey.py``."""

from __future__ import annotations

from typing import Any

_SMALL = (2, 3, 64, 64)

#: Types that say all; those with options: name -> options.
_OPTIONS: dict[str, dict[str, Any]] = {
    'ResNet': dict(depth=18),
    'ResNetV1c': dict(depth=18),
    'ResNetV1d': dict(depth=18),
    'ResNet_CIFAR': dict(depth=18),
    'ResNeXt': dict(depth=50),
    'ResNeSt': dict(depth=50),
    'Res2Net': dict(depth=50, scales=4, base_width=26),
    'SEResNet': dict(depth=50),
    'SEResNeXt': dict(depth=50),
    'RegNet': dict(arch='regnetx_400mf'),
    'RepVGG': dict(arch='A0'),
    'HRNet': dict(arch='w18'),
    'CSPDarkNet': dict(depth=53),
    'CSPResNet': dict(depth=50),
    'CSPResNeXt': dict(depth=50),
    'MobileNetV2': dict(widen_factor=0.25),
    'MobileNetV3': dict(arch='small_050'),
    'MobileOne': dict(arch='s0'),
    'EfficientNet': dict(arch='b0'),
    'EfficientNetV2': dict(arch='s'),
    'ShuffleNetV1': {},
    'ShuffleNetV2': {},
    'VGG': dict(depth=11),
    'DenseNet': dict(arch='121'),
    'ConvMixer': dict(arch=dict(embed_dims=64, depth=3, patch_size=7, kernel_size=7)),
}

#: name -> (config, shape of the images). SparseResNet and SparseConvNeXt are missing:
#: they need the masks of the pretraining that they are for.
CONVNETS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    **{name: (dict(type=name, **more), _SMALL) for name, more in _OPTIONS.items()},
    'RepLKNet': (
        dict(
            type='RepLKNet',
            arch=dict(
                large_kernel_sizes=[15, 13, 11, 7],
                layers=[1, 1, 2, 1],
                channels=[32, 64, 96, 128],
                small_kernel=5,
                dw_ratio=1,
            ),
        ),
        _SMALL,
    ),
    'Vig': (dict(type='Vig', arch='tiny'), (2, 3, 224, 224)),
    'PyramidVig': (dict(type='PyramidVig', arch='tiny'), (2, 3, 224, 224)),
    'LeNet5': (dict(type='LeNet5'), (2, 1, 32, 32)),
    'AlexNet': (dict(type='AlexNet'), (2, 3, 224, 224)),
    'InceptionV3': (dict(type='InceptionV3', aux_logits=False), (2, 3, 80, 80)),
    'RepMLPNet': (
        dict(type='RepMLPNet', arch='B', img_size=224, reparam_conv_kernels=(1, 3)),
        (2, 3, 224, 224),
    ),
}
