# Calibration without any real image against calibration on photographs: the W8A8
# preset of DeiT-Tiny on its sample of ImageNet. The last row needs the images that
# the command in the notes makes.
title = 'Calibration without images: DeiT-Tiny, W8A8'
notes = """
32 calibration images each. Photographs are drawn twice. The
synthetic images know the mean and standard deviation of the config's `data_preprocessor`,
and of photographs what is true of all: their colours, their spectrum, that things hide one
another. The optimized ones were changed by the float model in 100 steps, six minutes of
one CPU thread for 32 images, by

    python tools/make_calibration_images.py \\
        configs/deit/deit-tiny_w8a8_in1k-sample.py \\
        --start dead_leaves --out work_dirs/calibration_images/dead_leaves

Images are normalized and quantized here (`pixels=False`)."""
options = {
    'quantization.pixels': False,
    'quantization.activation.guard_images': 0,
}

base = 'configs/deit/deit-tiny_w8a8_in1k-sample.py'

_COUNT = 'quantization.calibration.num_images'
_LOADER = 'quantization.calibration.dataloader'
_SAMPLED = {
    'white noise': dict(kind='noise', alpha=0.0),
    '1/f noise': dict(kind='noise', alpha=1.0),
    'dead leaves': dict(kind='dead_leaves'),
}
_OPTIMIZED = {'dead leaves': 'dead_leaves'}


def _row(name, seed=0, dataset=None):
    options = {_COUNT: 32}
    if dataset:
        options[_LOADER] = dict(_delete_=True, dataset=dataset)
    return dict(name=name, seed=seed, options=options)


def _rows():
    for seed in range(2):
        yield _row(f'photographs, {seed}', seed)
    for kind, arguments in _SAMPLED.items():
        sampled = dict(
            type='iptq_mm.datasets.synthetic.NoiseImages',
            num_images=32,
            pipeline=[dict(type='PackInputs')],
            **arguments)
        yield _row(kind, dataset=sampled)
    for start, folder in _OPTIMIZED.items():
        made = dict(
            type='mmengine.dataset.BaseDataset',
            data_root=f'work_dirs/calibration_images/{folder}',
            ann_file='images.json',
            pipeline=[dict(type='LoadImageFromFile'),
                      dict(type='PackInputs')])
        yield _row(f'optimized from {start}', dataset=made)


settings = list(_rows())
