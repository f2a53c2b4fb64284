# Codes (`activation.codes`): levels of GELU's results that are not evenly spaced,
# DeiT-Tiny with 6 and with 4 bits.
_base_ = '../_base_/calibration/held_out.py'
title = 'Codes of the results of GELU: DeiT-Tiny'
notes = """
*uniform* has levels that are evenly spaced. Every fifth of the 500 images for
calibration evaluates, 64 of the others calibrate: these rows choose presets, so none of
them looks at the images of the evaluation."""
_CONFIG = 'configs/deit/deit-tiny_w6a6_in1k-sample.py'
_CODES = {
    'uniform': dict(gelu=None),
    'twin ranges': dict(gelu=dict(type='twin_ranges')),
    'levels': dict(gelu=dict(type='levels')),
}
_BITS = {
    'W6A6': {},
    'W6A4': {
        'quantization.activation.bits': 4
    },
}
settings = [
    dict(
        name=f'{bits}: {name}',
        config=_CONFIG,
        options={
            **widths, 'quantization.activation.codes': codes
        }) for bits, widths in _BITS.items() for name, codes in _CODES.items()
]
