# What the fits of Poly-GELU buy: the W8A8 preset of DeiT-Tiny with one fit at every GELU.
title = 'Fits of Poly-GELU: DeiT-Tiny, W8A8'
notes = """
Every GELU has the function of the row, every Softmax `table_softmax`, every LayerNorm
`ivit_layernorm`. Every fifth of the 500 images for calibration evaluates, 64 of the
others calibrate: these rows choose a default, so none of them looks at the images of the
evaluation. Weights are rounded to nearest."""
_ALL = list(range(500))
_HELD_OUT = _ALL[::5]
_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='ResizeEdge',
        scale=256,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
base = 'configs/deit/deit-tiny_iptq-w8a8_in1k-sample.py'
options = {
    'quantization.calibration.num_images':
    64,
    'quantization.calibration.analysis_images':
    16,
    'quantization.calibration.dataloader.dataset.indices':
    [i for i in _ALL if i not in _HELD_OUT],
    'quantization.weight.rounding':
    dict(_delete_=True, type='nearest'),
    'test_dataloader.dataset.data_prefix':
    'calib',
    'test_dataloader.dataset.ann_file':
    'calib.txt',
    'test_dataloader.dataset.indices':
    _HELD_OUT,
    'test_dataloader.dataset.pipeline':
    _pipeline,
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
