# For lists of settings that choose presets: DeiT-Tiny is calibrated on 64 of the 500
# images for calibration, and evaluated on every fifth, which calibration does not see.
# No choice looks at the images of the evaluation.
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
options = {
    'quantization.calibration.num_images':
    64,
    'quantization.calibration.analysis_images':
    16,
    'quantization.calibration.dataloader.dataset.indices':
    [i for i in _ALL if i not in _HELD_OUT],
    'test_dataloader.dataset.data_prefix':
    'calib',
    'test_dataloader.dataset.ann_file':
    'calib.txt',
    'test_dataloader.dataset.indices':
    _HELD_OUT,
    'test_dataloader.dataset.pipeline':
    _pipeline,
    'quantization.calibration.mirrored':
    False,
    # Presets of few bits have it, for many times the time of the other phases.
    'quantization.reconstruction.epochs':
    0,
}
