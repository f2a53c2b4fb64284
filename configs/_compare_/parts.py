# What each part of the presets buys: DeiT-Tiny on its sample of ImageNet, with each
# part switched off by itself, and with none of them.
title = 'Parts of the presets: DeiT-Tiny'
notes = """
*naive* is min-max ranges and rounding to nearest, all else as in the preset; *naive,
all narrow* has 8-bit scores, probabilities and inputs of GELU besides. *without* and
*with* change one thing in the preset. W4A8 has 128 calibration images here, but for the
preset's own 500 in the first row.

Images are normalized and quantized here (`pixels=False`)."""
options = {
    'quantization.pixels': False,
    'quantization.calibration.mirrored': False
}

_CONFIG = 'configs/deit/deit-tiny_{}_in1k-sample.py'
_NEAREST = {'quantization.weight.rounding': dict(_delete_=True, type='nearest')}
_NO_BIAS = {'quantization.weight.bias_correction': False}
_SEARCH = {'quantization.activation.search_images': 128}
_LAYER_NORM, _ATTENTION = dict(type='layer_norm'), dict(type='attention')


def _equalized(*parts):
    return {'quantization.equalization': list(parts)}


def _ranges(**observer):
    return {'quantization.activation.observer': dict(_delete_=True, **observer)}


_NAIVE = {
    **_equalized(),
    **_NEAREST,
    **_NO_BIAS,
    **_ranges(type='minmax'), 'quantization.weight.observer': dict(
        _delete_=True, type='minmax')
}
_NARROW = {
    f'quantization.wide.{name}': 8
    for name in ('attention', 'softmax', 'gelu')
}
# As often as blocks learned before images were mirrored.
_ONCE = {'quantization.reconstruction.epochs': 4}
_IMAGES = {**_ONCE, 'quantization.calibration.num_images': 128}
_COMMON = {
    'the preset': {},
    'naive': _NAIVE,
    'without second-order rounding': _NEAREST,
    'without bias correction': _NO_BIAS,
}
_RESIDUALS = {
    'quantization.wide.bits': 8,
    'quantization.wide.attention': 16,
    'quantization.wide.softmax': 16,
    'quantization.wide.gelu': 16,
}
_LEARNED = {
    'quantization.weight.rounding': dict(_delete_=True, type='learned')
}
_EQUALIZED = {
    'without equalization': _equalized(),
    'without equalization of LayerNorm': _equalized(_ATTENTION),
    'without equalization of attention': _equalized(_LAYER_NORM),
}
_PARTS = {
    'w8a8': {
        **_COMMON,
        **_EQUALIZED,
        'naive, all narrow': {
            **_NAIVE,
            **_NARROW
        },
        'without asymmetric ranges': {
            'quantization.activation.symmetric': True
        },
        'with range search': _SEARCH,
        'with min-max ranges': _ranges(type='minmax'),
        'with 8-bit residuals': _RESIDUALS,
        'with 8-bit residuals, power-of-two factors': {
            **_RESIDUALS,
            **_equalized(_LAYER_NORM, _ATTENTION, dict(type='power_of_two')),
        },
        'with 8-bit probabilities': {
            'quantization.wide.attention': 8
        },
        'with 8-bit scores': {
            'quantization.wide.softmax': 8
        },
        'with 8-bit inputs of GELU': {
            'quantization.wide.gelu': 8
        },
    },
    'w6a6': {
        **_COMMON,
        'without equalization': _equalized(),
        'with min-max ranges': _ranges(type='minmax'),
        'with range search': _SEARCH,
    },
    'w4a8': {
        **{name: {**_IMAGES, **options} for name, options in _COMMON.items()},
        'the preset': _ONCE,
        'the preset, 128 images': _IMAGES,
        'without guidance': {**_IMAGES, 'quantization.weight.guided': False},
        'with learned rounding': {
            **_IMAGES,
            **_LEARNED
        },
        'with equalization': {
            **_IMAGES,
            **_equalized(_LAYER_NORM, _ATTENTION)
        },
    },
}

settings = [
    dict(
        name=f'{bits.upper()}: {name}',
        config=_CONFIG.format(bits),
        options=options)
    for bits, parts in _PARTS.items() for name, options in parts.items()
]
