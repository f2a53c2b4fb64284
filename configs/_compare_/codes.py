# Codes (`activation.codes`): levels that are not evenly spaced, DeiT-Tiny with 6 and with
# 4 bits.
_base_ = '../_base_/calibration/held_out.py'
title = 'Codes of operands of products: DeiT-Tiny'
notes = """
*uniform* has levels that are evenly spaced; in the other rows the operands that are named
have codes. Every fifth of the 500 images for calibration evaluates, 64 of the others
calibrate: these rows choose presets, so none of them looks at the images of the
evaluation."""
_NONE = dict(gelu=None, layer_norm=None, linear=None, matmul=None)
_LEVELS = dict(type='levels')
_CODES = {
    'uniform': {},
    'twin ranges of GELU': dict(gelu=dict(type='twin_ranges')),
    'levels of GELU': dict(gelu=_LEVELS),
    'levels of GELU and LayerNorm': dict(gelu=_LEVELS, layer_norm=_LEVELS),
    'levels of all': {kind: _LEVELS
                      for kind in _NONE},
}
_PRESETS = {
    'W6A6': 'configs/deit/deit-tiny_w6a6_in1k-sample.py',
    'W4A4': 'configs/deit/deit-tiny_w4a4_in1k-sample.py',
}
settings = [
    dict(
        name=f'{bits}: {name}',
        config=config,
        options={'quantization.activation.codes': {
            **_NONE,
            **codes
        }}) for bits, config in _PRESETS.items()
    for name, codes in _CODES.items()
]
