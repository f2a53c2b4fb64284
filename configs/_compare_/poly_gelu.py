# What the fits of Poly-GELU buy: the W8A8 preset of DeiT-Tiny with one fit at every GELU.
_base_ = '../_base_/calibration/held_out.py'
title = 'Fits of Poly-GELU: DeiT-Tiny, W8A8'
notes = """
Every GELU has the function of the row, every Softmax `table_softmax`, every LayerNorm
`ivit_layernorm`. Every fifth of the 500 images for calibration evaluates, 64 of the
others calibrate: these rows choose a default, so none of them looks at the images of the
evaluation. Weights are rounded to nearest."""
base = 'configs/deit/deit-tiny_w8a8_in1k-sample.py'
options = {
    'quantization.weight.rounding': dict(_delete_=True, type='nearest'),
    'quantization.activation.guard_images': 0,
}
_FITS = {
    'published pair': dict(fit=False),
    'density, erf (the default)': {},
    'density, gelu': dict(objective='gelu'),
    'range, erf (the paper)': dict(fit='range'),
    'range, erf, 24 points': dict(fit='range', points=24),
    'range, gelu': dict(fit='range', objective='gelu'),
}

settings = [
    dict(
        name=name,
        candidates=dict(
            gelu=[dict(type='poly_gelu', **fit)],
            softmax=[dict(type='table_softmax')],
            layer_norm=[dict(type='ivit_layernorm')]))
    for name, fit in _FITS.items()
]
